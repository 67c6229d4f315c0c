"""`[model]`: the parts of the encoder-decoder, whose options are in modules of their names."""

from typing import Annotated

from nmt.config.decoders import (
    AnyDecoderConfig,
    ConvolutionalDecoderConfig,
    DecoderConfig,
    TargetLines,
)
from nmt.config.dropout import ONE_RATE, DropoutConfig
from nmt.config.embedding import EmbeddingConfig
from nmt.config.encoders import (
    AnyEncoderConfig,
    BagEncoderConfig,
    EncoderConfig,
    NoEncoderConfig,
    NumbersEncoderConfig,
    SourceLines,
)
from nmt.config.initialization import InitConfig, UniformInitConfig
from nmt.config.outputs import (
    CopyOutputConfig,
    LexicalOutputConfig,
    NumbersOutputConfig,
    OutputConfig,
    PointerOutputConfig,
    SoftmaxOutputConfig,
)
from nmt.config.section import MAY_CHANGE, Section


class ModelConfig(Section):
    """The encoder-decoder."""

    embedding: EmbeddingConfig = EmbeddingConfig()
    encoder: AnyEncoderConfig = EncoderConfig()
    decoder: AnyDecoderConfig = DecoderConfig()
    output: OutputConfig = SoftmaxOutputConfig()
    """"softmax", "lexical", "copy", "pointer" or "numbers", or a table with that kind and its
    options."""
    dropout: Annotated[DropoutConfig, ONE_RATE, MAY_CHANGE] = DropoutConfig()
    """A rate, or a table of rates."""
    initialization: InitConfig = UniformInitConfig()
    """"uniform", "xavier", "orthogonal", "spectral" or "sparse", or a table with that kind."""

    @property
    def writes_source(self) -> bool:
        """Whether the output writes pieces of the source."""
        return isinstance(self.output, CopyOutputConfig | PointerOutputConfig)

    @property
    def uses_source(self) -> bool:
        """Whether the output needs pieces of the source, to write or to translate them."""
        return self.writes_source or isinstance(self.output, LexicalOutputConfig)

    @property
    def right_to_left(self) -> bool:
        """Whether the decoder writes the last piece of a target first."""
        return isinstance(self.decoder, DecoderConfig) and self.decoder.right_to_left

    @property
    def source_lines(self) -> SourceLines:
        """What a source line is."""
        if isinstance(self.encoder, NumbersEncoderConfig):
            return "numbers"
        if not self.encoder.reads_source:
            return "none"
        return "words" if self.target_lines == "aligned" else "text"

    @property
    def target_lines(self) -> TargetLines:
        """What a target line is."""
        is_numbers = isinstance(self.output, NumbersOutputConfig)
        return "numbers" if is_numbers else self.decoder.target_lines

    @property
    def has_embeddings(self) -> bool:
        """Whether words are read on either side: numbers and labels have no embeddings."""
        reads_target = isinstance(self.decoder, DecoderConfig | ConvolutionalDecoderConfig)
        return reads_target or self.source_lines in ("text", "words")

    @property
    def memory_size(self) -> int:
        """Size of a source state; 0 without a source."""
        encoder = self.encoder
        if isinstance(encoder, NoEncoderConfig):
            return 0
        if isinstance(encoder, NumbersEncoderConfig):
            reader, size = encoder.reader, encoder.features
        else:
            reader, size = encoder, self.embedding.size
        return size if isinstance(reader, BagEncoderConfig) else reader.output_size

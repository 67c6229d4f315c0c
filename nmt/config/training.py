"""`[training]` and `[validation]`: how the model is trained and validated."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from nmt.config import limits
from nmt.config.bleu import require_tokenizer
from nmt.config.interval import parse_interval
from nmt.config.section import FIXED_BY_ORDER, SHORT_FORM, Section
from nmt.errors import ConfigError
from nmt.machine import MOST_THREADS

Warmup = Annotated[int, Field(ge=0, description="Updates of linear warm-up.")]
Factor = Annotated[
    float, Field(gt=0.0, lt=1.0, description="The rate is multiplied by this at each fall.")
]
Pick = Annotated[
    Literal["sample", "argmax"],
    Field(description="The model's own piece is sampled, or its most likely one."),
]
RateFactor = Annotated[float, Field(ge=0.0)]
Form = Annotated[
    Literal["steps", "two_pass"],
    Field(
        description='"steps": after each step, draw what the next one reads. "two_pass": predict '
        "all pieces after the reference's prefix, then decode again and read some of them instead "
        "of the reference, with whole targets at once: an update of a small model takes 1.2 times "
        "as long as with teacher forcing, and 2.4 times by steps (`make lecture NAME=exposure`)."
    ),
]
Minimum = Annotated[float, Field(ge=0.0, le=1.0, description="Lower bound of the probability.")]


class SgdConfig(Section):
    """Stochastic gradient descent."""

    kind: Literal["sgd"] = "sgd"
    """Stochastic gradient descent."""
    momentum: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Momentum: fraction of the previous step added to the next one."""
    weight_decay: float = Field(default=0.0, ge=0.0)
    """Added to the gradient as weight_decay x weight, like `l2`."""


class AdamConfig(Section):
    """Adam."""

    kind: Literal["adam", "adamw"] = "adam"
    """Adam (Kingma and Ba, 2015), or with decoupled decay (Loshchilov and Hutter, 2019)."""
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    """Decay of the mean of gradients."""
    beta2: float = Field(default=0.999, ge=0.0, lt=1.0)
    """Decay of the mean of squared gradients."""
    epsilon: float = Field(default=1e-8, gt=0.0)
    """Added to the square root of the second mean, for stability."""
    weight_decay: float = Field(default=0.0, ge=0.0)
    """"adam": added to the gradient; "adamw": taken off the weight, times the learning rate."""


OptimizerConfig = Annotated[
    Annotated[SgdConfig | AdamConfig, Field(discriminator="kind")], SHORT_FORM
]


class ConstantScheduleConfig(Section):
    """Constant."""

    kind: Literal["constant"] = "constant"
    """The learning rate is constant after a linear warm-up."""
    warmup: Warmup = 0


class InverseSqrtScheduleConfig(Section):
    """Warm-up, then inverse square root."""

    kind: Literal["inverse_sqrt"] = "inverse_sqrt"
    """Linear warm-up, then falling with the square root of the update (Vaswani et al., 2017)."""
    warmup: int = Field(default=1000, ge=1)
    """Updates of linear warm-up; the peak is `learning_rate`."""


class CosineScheduleConfig(Section):
    """Half a cosine."""

    kind: Literal["cosine"] = "cosine"
    """Linear warm-up, then half a cosine (Loshchilov and Hutter, 2017)."""
    warmup: Warmup = 0
    updates: int = Field(default=0, ge=0)
    """Update at which the schedule ends; 0 = training.max_updates."""
    end: float = Field(default=0.0, ge=0.0, le=1.0)
    """Fraction of the learning rate that remains at the end."""


class ExponentialScheduleConfig(Section):
    """Reduced by a factor at regular intervals."""

    kind: Literal["exponential"] = "exponential"
    """Constant until `start`, then multiplied by `factor` every `every` updates."""
    warmup: Warmup = 0
    start: int = Field(default=1, ge=1)
    """First update at which the rate is reduced."""
    every: int = Field(default=1000, ge=1)
    """Updates between two reductions."""
    factor: Factor = 0.5


class PlateauScheduleConfig(Section):
    """Reduced when validation stops improving."""

    kind: Literal["plateau"] = "plateau"
    """Multiplied by `factor` after `patience` validations without improvement."""
    warmup: Warmup = 0
    factor: Factor = 0.5
    patience: int = Field(default=2, ge=1)
    """Validations without an improvement before the rate is reduced, as `validation.patience`."""
    reload_best: bool = True
    """Return to the best weights and their optimizer state when the rate is reduced."""


ScheduleConfig = Annotated[
    Annotated[
        ConstantScheduleConfig
        | InverseSqrtScheduleConfig
        | CosineScheduleConfig
        | ExponentialScheduleConfig
        | PlateauScheduleConfig,
        Field(discriminator="kind"),
    ],
    SHORT_FORM,
]


class NoSamplingConfig(Section):
    """Teacher forcing."""

    kind: Literal["none"] = "none"
    """The decoder always reads the reference (teacher forcing)."""


class ConstantSamplingConfig(Section):
    """Constant probability of the reference."""

    kind: Literal["constant"] = "constant"
    """The decoder reads the reference with a fixed probability."""
    probability: float = Field(default=0.75, ge=0.0, le=1.0)
    """Probability of reading the reference piece rather than the model's own."""
    pick: Pick = "sample"
    form: Form = "steps"


class LinearSamplingConfig(Section):
    """max(minimum, k - c i) at update i."""

    kind: Literal["linear"] = "linear"
    """The probability of the reference falls linearly: max(minimum, k - c i) at update i."""
    k: float = Field(default=1.0, ge=0.0, le=1.0)
    """Probability at the start."""
    c: float = Field(default=1e-4, ge=0.0)
    """Decrease per update."""
    minimum: Minimum = 0.0
    pick: Pick = "sample"
    form: Form = "steps"


class ExponentialSamplingConfig(Section):
    """max(minimum, k^i) at update i."""

    kind: Literal["exponential"] = "exponential"
    """The probability of the reference falls as k^i at update i."""
    k: float = Field(default=0.9999, gt=0.0, lt=1.0)
    """Factor per update."""
    minimum: Minimum = 0.0
    pick: Pick = "sample"
    form: Form = "steps"


class InverseSigmoidSamplingConfig(Section):
    """max(minimum, k / (k + exp(i / k))) at update i."""

    kind: Literal["inverse_sigmoid"] = "inverse_sigmoid"
    """The probability of the reference falls as k / (k + exp(i / k)) at update i."""
    k: float = Field(default=1000.0, ge=1.0)
    """Scale in updates: the probability is one half at update k ln k."""
    minimum: Minimum = 0.0
    pick: Pick = "sample"
    form: Form = "steps"


ScheduledSamplingConfig = Annotated[
    Annotated[
        NoSamplingConfig
        | ConstantSamplingConfig
        | LinearSamplingConfig
        | ExponentialSamplingConfig
        | InverseSigmoidSamplingConfig,
        Field(discriminator="kind"),
    ],
    SHORT_FORM,
]


class NoConsistencyConfig(Section):
    """None."""

    kind: Literal["none"] = "none"
    """One prediction of each pair, and its likelihood alone."""


class GuidedAlignmentConfig(Section):
    """Guides the attention."""

    weight: float = Field(default=0.0, ge=0.0)
    """Adds weight x the cross-entropy of the attention with the links of IBM model 1, which `nmt
    prepare` learns, to the loss (Chen et al., 2016); 0 = off. Needs text on both sides and an
    attention."""
    until: int = Field(default=0, ge=0)
    """Update until which the weight falls linearly to 0, since the links are cruder than what the
    model learns in the end; 0 = it stays."""


class MinimumRiskConfig(Section):
    """Minimum risk training."""

    weight: float = Field(default=0.0, ge=0.0, le=1.0)
    """Minimise weight x the expected 1 - chrF of the model's own translations of each training
    sentence (Shen et al., 2016), and (1 - weight) x the usual loss; 0 = off. Begin with a trained
    model (`nmt train --from`) and a small learning rate; an update takes many times as long, since
    every source is translated."""
    samples: int = Field(default=20, ge=1, le=limits.MOST_HYPOTHESES)
    """Translations drawn for each sentence; the reference is one more."""
    sharpness: float = Field(default=0.005, gt=0.0)
    """Exponent of the probabilities that weigh the translations: near 0, all count alike."""


DivergenceWarmup = Annotated[
    int, Field(ge=0, description="Updates during which the weight rises linearly from 0.")
]


class SimCutConfig(Section):
    """SimCut."""

    kind: Literal["simcut"] = "simcut"
    """Predict each pair twice, the second time without some of its pieces, and penalise the
    difference (SimCut; Gao et al., 2022). An update takes about twice as long."""
    weight: float = Field(default=3.0, ge=0.0)
    """Weight of the divergence; 0 = the likelihood alone, in one pass."""
    rate: float = Field(default=0.05, gt=0.0, lt=1.0)
    """Probability with which the embedding of a piece is cut, on both sides."""
    warmup: DivergenceWarmup = 0


class RDropConfig(Section):
    """R-Drop."""

    kind: Literal["r_drop"] = "r_drop"
    """Predict each pair twice, with different dropout masks, and penalise the difference (R-Drop;
    Liang et al., 2021). Needs dropout. An update takes about twice as long."""
    weight: float = Field(default=5.0, ge=0.0)
    """Weight of the divergence, against the likelihoods of both predictions; 0 = the likelihood
    alone, in one pass."""
    warmup: DivergenceWarmup = 0


ConsistencyConfig = Annotated[
    Annotated[NoConsistencyConfig | SimCutConfig | RDropConfig, Field(discriminator="kind")],
    SHORT_FORM,
]


def _require_interval(value: int | str) -> int | str:
    try:
        parse_interval(value)
    except ConfigError as error:  # pydantic collects only errors of this kind:
        raise ValueError(str(error)) from error
    return value


Interval = Annotated[
    int | str, Field(union_mode="left_to_right"), AfterValidator(_require_interval)
]
"""A number of updates, or a time such as "90s", "10m", "2h"."""


def _require_tokenizer(value: str) -> str:
    try:
        return require_tokenizer(value)
    except ConfigError as error:
        raise ValueError(str(error)) from error


class TrainingConfig(Section):
    """How the model is trained."""

    batch_tokens: int = Field(default=4096, ge=1)
    """Target tokens per update, end symbols included, over all ranks."""
    accumulate: int = Field(default=1, ge=1, le=limits.MOST_PARTS)
    """Number of micro-batches per update, to save memory; the result does not change."""
    max_updates: int = Field(default=20000, ge=1)
    """Stop after this many updates."""
    max_epochs: int = Field(default=0, ge=0)
    """Stop after this many passes over the corpus; 0 = no limit."""
    optimizer: OptimizerConfig = AdamConfig()
    """"sgd", "adam" or "adamw", or a table with that kind and its options."""
    learning_rate: float = Field(default=1e-3, gt=0.0)
    """Peak learning rate."""
    learning_rates: dict[str, RateFactor] = Field(default={})
    """Factors of the learning rate by name of the weights, such as { "encoder.*" = 0.5,
    "*.embedding.*" = 0.1 }; of several patterns, the first that matches counts. 0 keeps weights as
    they are. Tied weights have the first of their names, that of the encoder if it has one."""
    schedule: ScheduleConfig = ConstantScheduleConfig()
    """"constant", "inverse_sqrt", "cosine", "exponential" or "plateau", or a table."""
    clip_norm: float = Field(default=1.0, ge=0.0)
    """Maximum norm of the gradient of the mean loss per token (Pascanu et al., 2013); 0 = off."""
    truncation: int = Field(default=0, ge=0)
    """Cut the gradient of the decoder's states every this many pieces, while the states are carried
    on (truncated backpropagation through time, Williams and Peng, 1990); 0 = never. Uses the slower
    step-by-step path."""
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Probability mass spread evenly over the vocabulary (Szegedy et al., 2016)."""
    l1: float = Field(default=0.0, ge=0.0)
    """Adds l1 x sum |w| to the mean loss per token."""
    l2: float = Field(default=0.0, ge=0.0)
    """Adds l2 / 2 x sum w^2 to the mean loss per token."""
    activation_l1: float = Field(default=0.0, ge=0.0)
    """Adds activation_l1 x sum |h| over the encoder's outputs to the loss of a batch, so that an
    encoder with cell = { kind = "rnn", activation = "relu" } has sparse states and gradients
    (Bengio et al., 2013). Needs an encoder."""
    scheduled_sampling: ScheduledSamplingConfig = NoSamplingConfig()
    """Let the decoder read its own output (Bengio et al., 2015). The objective is not
    consistent (Huszar, 2015): measure its effect, by `nmt diagnose exposure`. With form =
    "two_pass" (Mihaylova and Martins, 2019; Duckworth et al., 2019), what it reads is predicted
    from the reference's prefix, not from its own."""
    consistency: ConsistencyConfig = NoConsistencyConfig()
    """"none", "simcut" or "r_drop", or a table with that kind and its options: two predictions of
    each pair should agree."""
    guided_alignment: GuidedAlignmentConfig = GuidedAlignmentConfig()
    minimum_risk: MinimumRiskConfig = MinimumRiskConfig()
    ema: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Decay of an exponential moving average of the weights, which is then validated and
    shipped; 0 = off."""
    seed: Annotated[int, FIXED_BY_ORDER] = Field(default=1, ge=0)
    """Random seed."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of matrix products; "auto" = bf16 where it is faster (a GPU of compute capability 8
    or more; with at least 512 target tokens in a batch, a CPU with AMX, or one of AMD's with
    AVX-512-bf16), else fp32. Weights, sums and the optimizer are fp32 either way."""
    fast: bool = True
    """Replace modules by fast ones (`nmt.fast`); false = compute the plain equations, slower."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """"auto" = CUDA if there is a GPU."""
    threads: int = Field(default=0, ge=0, le=MOST_THREADS)
    """CPU threads; 0 = all cores."""
    log_every: Interval = 100
    """Updates, or a time, between two log lines. There is also one after the first update, before
    each validation, and, if this is a number of updates, after a minute without any."""
    save_every: Interval = "10m"
    """Updates, or a time, between two checkpoints."""
    keep_last: int = Field(default=2, ge=1)
    """Number of newest checkpoints kept."""
    keep_best: int = Field(default=1, ge=1)
    """Number of best checkpoints kept."""
    max_skipped: int = Field(default=20, ge=1)
    """Updates whose gradient is not finite are skipped; after this many in a row, training goes
    back to the newest checkpoint, and the second time it gives up."""
    rank_timeout: int = Field(default=600, ge=10, le=limits.MOST_SECONDS)
    """Seconds before a process gives up on a silent peer."""


class ValidationConfig(Section):
    """How the model is validated."""

    every: Interval = 1000
    """Updates, or a time, between two validations."""
    metric: Literal["loss", "bleu", "chrf"] = "bleu"
    """What selects the best checkpoint: loss per token, or a score of detokenized text. Equal BLEU
    is decided by chrF, then by the loss. BLEU below 1 and chrF below 20 are noise, and leave the
    choice to the loss."""
    tokenize: Annotated[str, AfterValidator(_require_tokenizer)] = "auto"
    """How BLEU splits text into words: "auto" follows the script of the references: "zh", "char"
    (Japanese, Korean, Thai, ...) or "13a"; else "13a", "intl", "zh", "char", "none", "ja-mecab",
    "ko-mecab", "flores101", "flores200", or "spm:FILE" with a sentencepiece model."""
    patience: int = Field(default=0, ge=0)
    """Validations without an improvement before training stops; 0 = never."""
    least_improvement: float = Field(default=0.0, ge=0.0)
    """Smallest improvement of `metric` that `patience` and the plateau schedule count, since the
    last one that they counted. A smaller one is still the best, and shipped."""
    beam: int = Field(default=1, ge=1, le=limits.MOST_HYPOTHESES)
    """Beam size of the translations; 1 = greedy, fast."""
    max_lines: int = Field(default=0, ge=0)
    """Lines translated per validation; 0 = all."""
    samples: int = Field(default=3, ge=0)
    """Sentences, short to long, whose translations are shown in the log at each validation; 0 =
    none. `nmt show --samples` shows them over the updates."""
    average: int = Field(default=1, ge=1)
    """Best checkpoints whose weights are averaged into the shipped model at the end; needs
    training.keep_best at least as large."""

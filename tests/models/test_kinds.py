"""Encoders and decoders of other kinds: exact by hand, alone as in a batch, step by step."""

from typing import Any

import pytest
import torch
from stepping import features_by_steps

from nmt.config.model import ModelConfig
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.text.vocabulary import BOS, EOS, PAD

VOCAB = 9
SIZES = {"embedding": {"size": 6}, "initialization": {"kind": "uniform", "scale": 0.7}}
LABEL = {"decoder": {"kind": "label", "hidden_size": 5}}
ALIGNED = {"decoder": {"kind": "aligned"}}
ENCODERS: list[dict[str, Any]] = [
    {"kind": "recurrent", "hidden_size": 4},
    {"kind": "convolutional", "hidden_size": 5, "layers": 2},
    {"kind": "convolutional", "hidden_size": 6, "layers": 1, "causal": True},
    {"kind": "bag"},
    {"kind": "bag", "pool": "sum"},
]


def build(*parts: dict[str, Any]) -> EncoderDecoder:
    """Return a small model in double precision, in evaluation mode."""
    config: dict[str, Any] = dict(SIZES)
    for part in parts:
        config |= part
    model = build_model(ModelConfig.model_validate(config), source_vocab=VOCAB, target_vocab=VOCAB)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            torch.nn.init.uniform_(parameter, -0.5, 0.5)
    return model.double().eval()


def batch(lengths: tuple[int, ...] = (5, 3)) -> tuple[torch.Tensor, torch.Tensor]:
    """Return sources that end in EOS, and their mask."""
    mask = torch.arange(max(lengths)).unsqueeze(0) < torch.tensor(lengths).unsqueeze(1)
    source = torch.randint(4, VOCAB, mask.shape)
    source[torch.arange(len(lengths)), torch.tensor(lengths) - 1] = EOS
    return source * mask, mask


def probabilities(model: EncoderDecoder, *read: torch.Tensor) -> torch.Tensor:
    """Return p(piece) at each position of a target that `read` begins: source, mask, target_in."""
    source, mask, target_in = read
    with torch.no_grad():
        features = model.decode(model.encode(source, mask), target_in).features
        return model.output.log_probs(features.flatten(0, 1)).exp().view(*target_in.shape, -1)


def certain_end(*shape: int) -> torch.Tensor:
    end = torch.zeros(*shape, VOCAB, dtype=torch.float64)
    end[..., EOS] = 1
    return end


def softmax_of_words(logits: torch.Tensor) -> torch.Tensor:
    """Return the softmax over all pieces but PAD, BOS and EOS, written out."""
    powers = logits.exp()
    powers[..., [PAD, BOS, EOS]] = 0
    return powers / powers.sum(dim=-1, keepdim=True)


@pytest.mark.parametrize("summary", ["last", "mean"])
def test_a_label_is_a_softmax_of_the_summary_and_then_the_end_is_certain(summary):
    model = build({"decoder": {"kind": "label", "hidden_size": 5, "summary": summary}})
    source, mask = batch()
    found = probabilities(model, source, mask, torch.tensor([[BOS, 4], [BOS, 7]]))

    w = {name: weight.detach() for name, weight in model.named_parameters()}
    read = model.encoder(source, mask)
    mean = read.outputs.detach().sum(dim=1) / mask.sum(dim=1, keepdim=True)
    context = read.last.detach() if summary == "last" else mean
    hidden = torch.tanh(context @ w["decoder.hidden.weight"].T + w["decoder.hidden.bias"])
    logits = hidden @ w["output.project.weight"].T + w["output.project.bias"]
    torch.testing.assert_close(found[:, 0], softmax_of_words(logits))
    torch.testing.assert_close(found[:, 1], certain_end(2))


def test_an_aligned_word_is_a_softmax_of_the_state_at_its_position():
    model = build(ALIGNED)
    source, mask = batch((5, 3))
    found = probabilities(model, source, mask, torch.full((2, 5), BOS))

    states = model.encoder(source, mask).outputs.detach()
    logits = states @ model.output.project.weight.detach().T + model.output.project.bias.detach()
    expected = softmax_of_words(logits)
    torch.testing.assert_close(found[0, :4], expected[0, :4])
    torch.testing.assert_close(found[0, 4], certain_end())
    torch.testing.assert_close(found[1, :2], expected[1, :2])
    torch.testing.assert_close(found[1, 2:], certain_end(3))


@pytest.mark.parametrize("decoder", [LABEL, ALIGNED], ids=["label", "aligned"])
def test_losses_by_hand_with_smoothing_over_the_words_alone(decoder):
    model = build(decoder)
    source, mask = batch((2,))
    target = torch.tensor([6, EOS])
    features = model.decode(model.encode(source, mask), torch.tensor([[BOS, 6]])).features[0]
    loss, nll = model.output.losses(features, target, smoothing=0.1)

    log_probs = model.output.log_probs(features).detach()[0]
    words = [piece for piece in range(VOCAB) if piece not in (PAD, BOS, EOS)]
    expected = -0.9 * log_probs[6] - 0.1 * log_probs[words].mean()
    torch.testing.assert_close(loss.detach(), torch.stack([expected, torch.zeros(()).double()]))
    torch.testing.assert_close(nll, torch.stack([-log_probs[6], torch.zeros(()).double()]))
    loss.sum().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("decoder", [LABEL, ALIGNED, {}], ids=["label", "aligned", "recurrent"])
@pytest.mark.parametrize(
    "encoder", ENCODERS, ids=lambda config: "-".join(map(str, config.values()))
)
def test_a_batch_is_its_sentences_alone(encoder, decoder):
    model = build({"encoder": encoder}, decoder)
    source, mask = batch((5, 3, 2))
    target_in = torch.tensor([[BOS, 4, 5, 6, 7]] * 3)
    together = probabilities(model, source, mask, target_in)
    for row, length in enumerate((5, 3, 2)):
        alone = probabilities(
            model,
            source[row : row + 1, :length],
            mask[row : row + 1, :length],
            target_in[row : row + 1, :length],
        )
        torch.testing.assert_close(together[row, :length], alone[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("decoder", [LABEL, ALIGNED], ids=["label", "aligned"])
def test_whole_targets_equal_a_loop_of_steps(decoder, copies):
    model = build(decoder)
    source, mask = batch((4, 2))
    target_in = torch.tensor([[BOS, 4, 5, 6, 7, 7], [BOS, 8, 5, 4, 4, 4]])  # longer than sources
    memory = model.encode(source, mask)
    at_once = model.decode(memory, target_in).features.repeat_interleave(copies, dim=0)
    state = model.start(memory, copies=copies)
    for position, tokens in enumerate(target_in.repeat_interleave(copies, dim=0).unbind(dim=1)):
        step = model.step(tokens, state, memory)
        state = step.state
        torch.testing.assert_close(step.features, at_once[:, position])


def test_rows_of_an_aligned_decoder_can_be_chosen_and_joined():
    model = build(ALIGNED)
    source, mask = batch((4, 2))
    memory = model.encode(source, mask)
    tokens = torch.tensor([BOS, BOS])
    state = model.step(tokens, model.start(memory), memory).state
    late = memory.select(torch.tensor([1]))
    joined = state.select(torch.tensor([0])).concat(model.start(late))
    both = memory.select(torch.tensor([0])).concat(late)
    found = model.step(tokens, joined, both).features
    expected = model.decode(memory, torch.full((2, 4), BOS)).features
    torch.testing.assert_close(found, torch.stack([expected[0, 1], expected[1, 0]]))


@pytest.mark.parametrize("pool", ["mean", "sum"])
def test_a_bag_knows_no_order(pool):
    model = build({"encoder": {"kind": "bag", "pool": pool}}, LABEL)
    one, other = torch.tensor([[4, 5, 6, 6, EOS]]), torch.tensor([[6, 5, 6, 4, EOS]])
    mask = torch.ones(1, 5, dtype=torch.bool)
    first, second = (probabilities(model, ids, mask, torch.tensor([[BOS]])) for ids in (one, other))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-12)
    changed = probabilities(model, torch.where(one == 6, 7, one), mask, torch.tensor([[BOS]]))
    assert not torch.allclose(first, changed)


def test_a_bag_is_the_mean_or_the_sum_of_its_embeddings():
    model = build({"encoder": {"kind": "bag"}}, LABEL)
    source, mask = batch((3,))
    total = model.encoder.embedding(source).sum(dim=1)
    torch.testing.assert_close(model.encode(source, mask).summary, total / 3)
    model.encoder.pool = "sum"
    torch.testing.assert_close(model.encode(source, mask).summary, total)


def test_attention_over_a_bag_knows_no_order():
    model = build({"encoder": {"kind": "bag"}, "decoder": {"attention": "general"}})
    mask = torch.ones(1, 4, dtype=torch.bool)
    target_in = torch.tensor([[BOS, 4, 5]])
    first, second = (
        probabilities(model, torch.tensor([ids]), mask, target_in)
        for ids in ([4, 5, 6, EOS], [6, 4, 5, EOS])
    )
    torch.testing.assert_close(first, second, rtol=0, atol=1e-12)


def test_the_last_state_of_a_convolution_is_that_of_the_last_token():
    model = build({"encoder": {"kind": "convolutional", "hidden_size": 4, "layers": 1}}, LABEL)
    source, mask = batch((5, 3))
    memory = model.encode(source, mask)
    torch.testing.assert_close(memory.summary[1], memory.states[1, 2])
    assert (memory.states[1, 3:] == 0).all()


CONVOLUTIONAL_LM = {
    "encoder": {"kind": "none"},
    "decoder": {"kind": "convolutional", "hidden_size": 5, "layers": 3, "kernel_size": 2},
}


@pytest.mark.parametrize("copies", [1, 2])
def test_a_convolutional_language_model_computes_whole_texts_as_a_loop_of_steps(copies):
    model = build(CONVOLUTIONAL_LM)
    target_in = torch.randint(4, VOCAB, (2, 20))
    memory = model.encode(torch.full((2, 1), EOS), torch.ones(2, 1, dtype=torch.bool))
    at_once = model.decode(memory, target_in).features.repeat_interleave(copies, dim=0)
    found = features_by_steps(model, memory, target_in, copies=copies)
    torch.testing.assert_close(found, at_once, rtol=0, atol=1e-12)


def test_a_convolutional_language_model_sees_its_receptive_field_and_nothing_later():
    model = build(CONVOLUTIONAL_LM)
    assert model.decoder.stack.receptive_field == 15
    memory = model.encode(torch.full((1, 1), EOS), torch.ones(1, 1, dtype=torch.bool))
    pieces = torch.randint(5, VOCAB, (1, 40))
    changed = pieces.clone()
    changed[0, 10] = 4
    before, after = (model.decode(memory, ids).features[0] for ids in (pieces, changed))
    differs = (before != after).any(dim=-1).nonzero().squeeze(1)
    assert differs.min() >= 10
    assert differs.max() <= 24


def test_rows_of_a_convolutional_language_model_can_be_chosen_and_joined():
    model = build(CONVOLUTIONAL_LM)
    memory = model.encode(torch.full((2, 1), EOS), torch.ones(2, 1, dtype=torch.bool))
    first, second = torch.tensor([4, 5]), torch.tensor([6, 7])
    one = model.step(first, model.start(memory), memory).state
    swapped = one.select(torch.tensor([1])).concat(one.select(torch.tensor([0])))
    found = model.step(second, swapped, memory).features
    expected = model.step(second.flip(0), one, memory).features.flip(0)
    torch.testing.assert_close(found, expected)

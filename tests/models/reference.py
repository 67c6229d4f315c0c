"""A second encoder-decoder, in NumPy, from the published equations and one word at a time.

It shares only the names of the weights and the configuration with `nmt`. Sentences are
read one by one at their own lengths: there are no batches, no padding and no masks, no products
over several positions. All functions are analytic, so that weights may be complex:
the imaginary part of f(w + i h v) / h is the slope of f along v, exact to rounding (Squire and
Trapp, 1998), which gives gradients without a backward pass.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nmt.config.attention import AttentionConfig
from nmt.config.cells import CellConfig
from nmt.config.model import ModelConfig

Array = np.ndarray
State = tuple[Array, ...]
Pair = tuple[Sequence[int], Sequence[int]]
"""Source ids and target ids, end symbols included."""

BOS = 2
SHARPNESS = 1.0
"""Of the attention over an input, whose configuration the reference does not read."""
_STEP = 1e-30


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.where(x.real > 0.0, x, 0.0),
    "sigmoid": sigmoid,
    "identity": lambda x: x,
}


def log_softmax(x: Array) -> Array:
    shifted = x - x.real.max()
    return shifted - np.log(np.exp(shifted).sum())


@dataclass(frozen=True)
class Weights:
    """The weights whose names begin with a prefix."""

    by_name: Mapping[str, Array]
    prefix: str = ""

    def __getitem__(self, name: str) -> Array:
        return self.by_name[self.prefix + name]

    def __contains__(self, name: str) -> bool:
        return self.prefix + name in self.by_name

    def under(self, name: str) -> "Weights":
        return Weights(self.by_name, f"{self.prefix}{name}.")

    def linear(self, name: str, x: Array) -> Array:
        y = self[f"{name}.weight"] @ x
        return y + self[f"{name}.bias"] if f"{name}.bias" in self else y


# --- cells -------------------------------------------------------------------------------------


def cell_step(config: CellConfig, w: Weights, x: Array, state: State) -> State:
    """One step of a cell from input [input] and state, each [hidden]."""
    if "gate.project_hidden.weight" in w:  # the lecture's attention over the values of an input
        scores = np.tanh(
            w.linear("gate.project_hidden", state[0]) + w.linear("gate.project_input", x)
        )
        gate = np.exp(log_softmax(SHARPNESS * scores))
        return cell_step(config, w.under("cell"), x * gate * len(x), state)
    kernel, bias = w["input.weight"], w["input.bias"]
    recurrent = w["recurrent.weight"]
    hidden = state[0]
    size = len(hidden)

    def gate(number: int, read: Array) -> Array:
        rows = slice(number * size, (number + 1) * size)
        return kernel[rows] @ x + recurrent[rows] @ read + bias[rows]

    if config.kind == "rnn":  # Elman (1990)
        return (ACTIVATIONS[config.activation](gate(0, hidden)),)
    if config.kind == "delays":  # Lin et al. (1996); the newest state is the first
        previous = np.concatenate([state[delay - 1] for delay in config.delays])
        new = ACTIVATIONS[config.activation](kernel @ x + recurrent @ previous + bias)
        return (new, *state[:-1])
    if config.kind == "clockwork":  # Koutník et al. (2014)
        return clockwork_step(config, w, x, state)
    if config.kind == "lstm" and not config.forget_gate:  # Hochreiter and Schmidhuber (1997)
        written = sigmoid(gate(0, hidden)) * np.tanh(gate(1, hidden))
        cell = state[1] + written
        return sigmoid(gate(2, hidden)) * np.tanh(cell), cell
    if config.kind == "lstm":  # Gers et al. (2000)
        i, f, o = sigmoid(gate(0, hidden)), sigmoid(gate(1, hidden)), sigmoid(gate(3, hidden))
        cell = f * state[1] + i * np.tanh(gate(2, hidden))
        return o * np.tanh(cell), cell
    reset, keep = sigmoid(gate(0, hidden)), sigmoid(gate(1, hidden))
    if config.reset == "before":  # Cho et al. (2014)
        new = np.tanh(gate(2, reset * hidden))
    else:  # the reset gate after the product
        last = slice(2 * size, 3 * size)
        new = np.tanh(kernel[last] @ x + bias[last] + reset * (recurrent[last] @ hidden))
    return ((1.0 - keep) * new + keep * hidden,)


def clockwork_step(config: CellConfig, w: Weights, x: Array, state: State) -> State:
    """One step, unit by unit: a unit reads those of its own period and of longer ones."""
    hidden, step = state
    size, groups = len(hidden), len(config.periods)
    ends = [size * number // groups for number in range(1, groups + 1)]
    period = [
        next(p for p, end in zip(config.periods, ends, strict=True) if unit < end)
        for unit in range(size)
    ]
    new = []
    for unit, before in enumerate(hidden):
        read = [other for other in range(size) if period[other] >= period[unit]]
        recurrent = w["recurrent.weight"][unit, read] @ hidden[read]
        total = w["input.weight"][unit] @ x + w["input.bias"][unit] + recurrent
        is_due = step % period[unit] == 0
        new.append(ACTIVATIONS[config.activation](total) if is_due else before)
    return np.array(new), step + 1


def zero_state(config: CellConfig, size: int) -> State:
    parts = tuple(np.zeros(size) for _ in range(2 if config.kind == "lstm" else 1))
    return first_state(config, parts)


def first_state(config: CellConfig, parts: State) -> State:
    """Return the state before the first step from h, and from c of an LSTM."""
    if config.kind == "delays":
        return parts * config.delays[-1]
    return (*parts, np.array(0)) if config.kind == "clockwork" else parts


def hand_on(w: Weights, index: int, hidden: Array, inputs: Array, *, residual: bool) -> Array:
    """Return the output of a layer: its state or a linear map of it, plus its input."""
    shown = w.linear(f"maps.{index}", hidden) if f"maps.{index}.weight" in w else hidden
    return shown + inputs if residual and shown.shape == inputs.shape else shown


# --- encoder -----------------------------------------------------------------------------------


def embed(w: Weights, piece: int) -> Array:
    vectors = w["embedding.weight"]
    return vectors[piece] * np.sqrt(vectors.shape[1])


def encode(config: ModelConfig, w: Weights, source: Sequence[int]) -> tuple[list[Array], Array]:
    """Return the states of a sentence, and the vector that the decoder starts from.

    With a copying bridge, the last states of all layers stand behind that vector.
    """
    encoder, w = config.encoder, w.under("encoder")
    stack = w.under("stack")
    sequence = [embed(w, piece) for piece in source]
    last, copied = np.zeros(0), []
    for number in range(encoder.layers):
        layer = stack.under(f"layers.{number}")
        directions = [range(len(source))]
        if encoder.bidirectional:  # Schuster and Paliwal (1997)
            directions.append(range(len(source) - 1, -1, -1))
        states: list[dict[int, Array]] = []
        ends = []
        for direction, order in enumerate(directions):
            state = zero_state(encoder.cell, encoder.hidden_size)
            if encoder.init_state == "learned":
                state = first_state(encoder.cell, tuple(layer["initial_state"][direction]))
            read = {}
            for position in order:
                cell = layer.under(f"cells.{direction}")
                state = cell_step(encoder.cell, cell, sequence[position], state)
                read[position] = state[0]
            states.append(read)
            ends.append(state)
        hidden = [np.concatenate([read[t] for read in states]) for t in range(len(source))]
        last = np.concatenate([state[0] for state in ends])
        parts = range(2 if encoder.cell.kind == "lstm" else 1)
        copied += [np.concatenate([state[part] for state in ends]) for part in parts]
        sequence = [
            hand_on(stack, number, hidden[t], sequence[t], residual=encoder.residual)
            for t in range(len(source))
        ]
    summary = sum(sequence) / len(source) if config.decoder.bridge == "mean" else last
    summary = np.asarray(summary)
    return sequence, np.concatenate(
        [summary, *copied]
    ) if config.decoder.bridge == "copy" else summary


# --- decoder -----------------------------------------------------------------------------------


def attend(config: ModelConfig, w: Weights, query: Array, memory: list[Array]) -> Array:
    """Return the context: source states weighted by a softmax over their scores."""
    attention, w = config.decoder.attention, w.under("decoder.attention")
    heads = 1 if attention.kind == "local" else attention.heads  # Vaswani et al. (2017), 3.2.2
    scores = [
        [score(attention, w, query, state, head) for state in memory] for head in range(heads)
    ]
    temperature = attention.temperature or np.sqrt(len(query) / heads)
    weights = [np.exp(log_softmax(np.array(own) / temperature)) for own in scores]
    if attention.kind == "local":  # Luong et al. (2015), section 3.2
        place = len(memory) * sigmoid(w.linear("score", np.tanh(w.linear("project_query", query))))
        log_window = -((np.arange(len(memory)) - place) ** 2) / (2.0 * attention.sigma**2)
        by_place = attention.content == "none"
        window = np.exp(log_softmax(log_window)) if by_place else np.exp(log_window)
        weights = [window] if by_place else [weights[0] * window]
    parts = [
        sum(
            weight * state[head::heads] for weight, state in zip(weights[head], memory, strict=True)
        )
        for head in range(heads)
    ]
    return np.stack(parts, axis=1).ravel()  # the units of the first head, then ..., in turn


def score(attention: AttentionConfig, w: Weights, query: Array, state: Array, head: int) -> Array:
    """Return the score of one source state by one head, which reads its share of the units."""
    if attention.kind == "additive":  # Bahdanau et al. (2015), appendix A.1.2
        asked = w.linear("project_query", query)
        return w["score.weight"][head] @ np.tanh(asked + w.linear("project_memory", state))
    if attention.kind == "local":
        by_place = attention.content == "none"
        return np.zeros(()) if by_place else query @ w.linear("project_memory", state)
    key = state if attention.kind == "dot" else w.linear("project_memory", state)
    return query[head :: attention.heads] @ key[head :: attention.heads]  # Luong et al., 3.1


def first_states(config: ModelConfig, w: Weights, summary: Array) -> list[State]:
    decoder = config.decoder
    zeros = [zero_state(decoder.cell, decoder.hidden_size) for _ in range(decoder.layers)]
    if decoder.bridge == "zero":
        return zeros
    if decoder.bridge == "learned":
        flat = w["decoder.initial_state"]
    elif decoder.bridge == "copy":
        flat = summary[config.encoder.output_size :]
    else:
        flat = np.tanh(w.linear("decoder.bridge", summary))
    parts = iter(np.split(flat, len(flat) // decoder.hidden_size))
    count = 2 if decoder.cell.kind == "lstm" else 1
    return [first_state(decoder.cell, tuple(next(parts) for _ in range(count))) for _ in zeros]


def decode(
    config: ModelConfig, w: Weights, source: Sequence[int], target_in: Iterable[int]
) -> list[Array]:
    """Return the features of each target position, [readout] each."""
    memory, summary = encode(config, w, source)
    decoder, inner = config.decoder, w.under("decoder")
    stack = inner.under("stack")
    attends = decoder.attention.kind != "none"
    before = attends and decoder.attend == "before"
    between = attends and decoder.attend == "between"
    feeds = attends and decoder.input_feeding and not before
    states = first_states(config, w, summary)
    summary = summary[: config.encoder.output_size]
    reads_summary = decoder.summary == "each_step"  # Cho et al. (2014)
    feed = np.zeros(decoder.readout_size or decoder.hidden_size)
    features = []
    for piece in target_in:
        word = embed(inner, piece)
        inputs = [word] if decoder.input == "previous" else []
        context = None
        if before:  # Bahdanau et al. (2015): attend with the last state, then read the context
            query = states[-1][0]
            context = attend(config, w, query, memory)
            inputs.append(context)
        if feeds:  # Luong et al. (2015), section 3.3
            inputs.append(feed)
        if reads_summary:
            inputs.append(summary)
        flow = np.concatenate(inputs) if inputs else np.zeros(0)
        for number in range(decoder.layers):
            cell = stack.under(f"layers.{number}.cells.0")
            read = flow
            if between and number > 0:  # Chen et al. (2018): the context of the first layer
                context = attend(config, w, flow, memory) if number == 1 else context
                read = np.concatenate([flow, context])
            states[number] = cell_step(decoder.cell, cell, read, states[number])
            flow = hand_on(stack, number, states[number][0], flow, residual=decoder.residual)
        if attends and not before and not between:
            context = attend(config, w, flow, memory)
        seen = [flow] if context is None else [flow, context]
        if reads_summary:
            seen.append(summary)
        if decoder.readout == "deep" and decoder.input == "previous":
            seen.append(word)
        feed = np.tanh(inner.linear("readout", np.concatenate(seen)))
        features.append(feed)
    return features


def log_probs(w: Weights, feature: Array) -> Array:
    return log_softmax(w["output.project.weight"] @ feature + w["output.project.bias"])


# --- loss and its slopes -----------------------------------------------------------------------


def loss(
    config: ModelConfig, w: Weights, pairs: Sequence[Pair], *, smoothing: float = 0.0
) -> tuple[complex, complex]:
    """Cross-entropy with the smoothed reference (Szegedy et al., 2016, section 7), and without.

    Both are sums over the target pieces of all pairs.
    """
    total = plain = 0j
    for source, target in pairs:
        features = decode(config, w, source, [BOS, *target[:-1]])
        for feature, gold in zip(features, target, strict=True):
            found = log_probs(w, feature)
            wanted = np.full(len(found), smoothing / len(found))
            wanted[gold] += 1.0 - smoothing
            total -= wanted @ found
            plain -= found[gold]
    return total, plain


def slope(
    function: Callable[[Weights], complex],
    weights: Mapping[str, Array],
    direction: Mapping[str, Array],
) -> float:
    """Return the derivative of `function` along `direction`."""
    moved = {
        name: value + 1j * _STEP * direction[name] if name in direction else value
        for name, value in weights.items()
    }
    return function(Weights(moved)).imag / _STEP

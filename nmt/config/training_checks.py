"""Constraints on training, validation and search."""

from collections.abc import Iterator

from nmt.config.decoders import DecoderConfig
from nmt.config.experiment import Experiment
from nmt.config.faults import Fault, fault_at
from nmt.config.training import CosineScheduleConfig


def training_disagreements(experiment: Experiment) -> Iterator[Fault]:
    """Yield each value of training, validation or search that contradicts another one."""
    training, validation = experiment.training, experiment.validation
    schedule = training.schedule
    if isinstance(schedule, CosineScheduleConfig):
        key = "training.schedule.updates" if schedule.updates else "training.max_updates"
        end = schedule.updates or training.max_updates
        if schedule.warmup >= end:
            yield fault_at(
                "training.schedule.warmup",
                f"must be less than {key}, got {schedule.warmup} and {end}; lower it as well, to "
                f"{end // 4} for example",
                key,
            )
    decoder = experiment.model.decoder
    reads_nothing = isinstance(decoder, DecoderConfig) and decoder.input == "none"
    if reads_nothing and training.scheduled_sampling.kind != "none":
        yield fault_at(
            "training.scheduled_sampling",
            'must be "none" when model.decoder.input is "none": '
            "such a decoder reads no previous piece that could be replaced",
            "model.decoder.input",
        )
    yield from _consistency(experiment)
    yield from _guided_alignment(experiment)
    yield from _minimum_risk(experiment)
    if training.activation_l1 and not experiment.model.encoder.reads_source:
        yield fault_at(
            "training.activation_l1",
            'is a penalty on the encoder\'s states, but model.encoder.kind is "none"; set it to 0',
            "model.encoder",
        )
    output, writes_source = experiment.model.output, experiment.model.writes_source
    if experiment.model.uses_source and training.scheduled_sampling.kind != "none":
        yield fault_at(
            "training.scheduled_sampling",
            f'must be "none" with model.output "{output.kind}": what it takes from the source is '
            "not drawn while a sentence is decoded in training",
            "model.output",
        )
    if writes_source and experiment.search.shortlist:
        yield fault_at(
            "search.shortlist",
            f'must be 0 with model.output "{output.kind}": a shortlist may lack what is copied',
            "model.output",
        )
    if experiment.model.right_to_left and experiment.search.ban:
        yield fault_at(
            "search.ban",
            "must be empty with model.decoder.right_to_left, which writes the end of a word first",
            "model.decoder.right_to_left",
        )
    if writes_source and experiment.tokenizer.sampling > 0:
        yield fault_at(
            "tokenizer.sampling",
            f'must be 0 with model.output "{output.kind}": what is copied must be spelled alike '
            "on both sides",
            "model.output",
        )
    if validation.average > training.keep_best:
        yield fault_at(
            "validation.average",
            f"must be at most training.keep_best, got {validation.average} "
            f"and {training.keep_best}",
            "training.keep_best",
        )


def _consistency(experiment: Experiment) -> Iterator[Fault]:
    """Yield why two predictions of a pair cannot be compared, or would always be equal."""
    training, model = experiment.training, experiment.model
    kind = training.consistency.kind
    if kind == "none":
        return
    if model.output.kind == "numbers":
        yield fault_at(
            "training.consistency",
            'must be "none" with model.output.kind "numbers", which has no probabilities to '
            "compare",
            "model.output.kind",
        )
    if training.scheduled_sampling.kind != "none":
        yield fault_at(
            "training.consistency",
            'must be "none" with training.scheduled_sampling: two predictions of a pair would '
            "follow different prefixes; use one of them",
            "training.scheduled_sampling",
        )
    if kind == "simcut" and not model.has_embeddings:
        yield fault_at(
            "training.consistency",
            '"simcut" cuts pieces, but model.encoder.kind is "numbers" and model.decoder.kind '
            f'"{model.decoder.kind}"; use "r_drop"',
            "model.encoder.kind",
            "model.decoder.kind",
        )
    rates = model.dropout.model_dump(exclude={"variational"}).values()
    if kind == "r_drop" and not any(rates):
        yield fault_at(
            "training.consistency",
            '"r_drop" compares two predictions with different dropout masks, but every rate in '
            "model.dropout is 0; set one, such as model.dropout = 0.3",
            "model.dropout",
        )


def _guided_alignment(experiment: Experiment) -> Iterator[Fault]:
    """Yield why there are no links to guide the attention, or no attention to be guided."""
    model, decoder = experiment.model, experiment.model.decoder
    if experiment.training.guided_alignment.weight == 0.0:
        return
    if (model.source_lines, model.target_lines) != ("text", "text"):
        yield fault_at(
            "training.guided_alignment.weight",
            "must be 0 unless both sides are text, whose pieces can be linked",
            "model.encoder.kind",
            "model.decoder.kind",
        )
    elif isinstance(decoder, DecoderConfig) and decoder.attention.kind == "none":
        yield fault_at(
            "training.guided_alignment.weight",
            'must be 0 since model.decoder.attention is "none": there is nothing to guide',
            "model.decoder.attention",
        )


def _minimum_risk(experiment: Experiment) -> Iterator[Fault]:
    """Yield why the model's translations cannot be drawn and scored."""
    training, model = experiment.training, experiment.model
    if training.minimum_risk.weight == 0.0:
        return
    if model.target_lines != "text" or not model.encoder.reads_source:
        yield fault_at(
            "training.minimum_risk.weight",
            "must be 0 unless the model translates into text",
            "model.encoder.kind",
            "model.decoder.kind",
        )
    if model.writes_source:
        yield fault_at(
            "training.minimum_risk.weight",
            f'must be 0 with model.output "{model.output.kind}": what is copied from the source '
            "has no pieces of the target; use another output",
            "model.output",
        )
    if training.consistency.kind != "none":
        yield fault_at(
            "training.minimum_risk.weight",
            f'must be 0 with training.consistency "{training.consistency.kind}"; use one of them',
            "training.consistency",
        )

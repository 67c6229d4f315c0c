"""Every key of the configuration with its default, its choices and their papers, as Markdown.

`python -m nmt.config.reference` prints `docs/configuration.md`.
"""

from collections.abc import Iterator

from pydantic.fields import FieldInfo

from nmt.config.dump import choice, choices_of, toml_value
from nmt.config.experiment import Experiment
from nmt.config.schema import kinds, table
from nmt.config.section import MAY_CHANGE, Resuming, Section, key_of

_HEAD = """# Every key of the configuration

What `nmt train` reads from a .toml file, table by table. `nmt init` writes a file with all of them,
and `--set model.encoder.layers=2` changes one. A table with a `kind` has the keys of that kind;
`cell = "gru"` is short for the table `{ kind = "gru" }`. A resumed run may change the keys that are
not called fixed, as long as the texts stay the same. This page is generated:
`python -m nmt.config.reference > docs/configuration.md`.
"""
_FAR = 1e5  # bounds beyond this are there to catch mistakes


def reference() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *_tables(Experiment, "", MAY_CHANGE)]).rstrip() + "\n"


def _tables(
    section: type[Section], path: str, mark: Resuming, *, is_kind: bool = False
) -> Iterator[str]:
    """Yield the keys of a section as a table, then the tables inside it.

    Args:
        section: the section.
        path: of its keys, with a dot at the end.
        mark: what changing it means when a run resumes.
        is_kind: whether it is one of several kinds of a table.
    """
    fields = {key_of(name, field): field for name, field in section.model_fields.items()}
    inside = {key: field for key, field in fields.items() if kinds(field) or table(field)}
    values = {key: field for key, field in fields.items() if key not in inside}
    if is_kind:
        del values["kind"]
    if values:
        yield "| key | default | meaning |"
        yield "|---|---|---|"
        for key, field in values.items():
            yield f"| `{key}` | {_default(field)} | {_meaning(field, mark)} |"
        yield ""
    for key, field in inside.items():
        name, own, plain = f"{path}{key}", _mark_of(field) or mark, table(field)
        yield f"## [{name}]\n"
        about = _sentence((plain and plain.__doc__) or field.description or "")
        yield f"{about}{_fixed(own) if own != mark else ''}\n"
        if plain is not None:
            yield from _tables(plain, f"{name}.", own)
        for kind, each in kinds(field).items():
            yield f'**kind = "{kind}"**{_is_default(field, each)} {_kind(each)}\n'
            yield from _tables(each, f"{name}.", own, is_kind=True)


def _kind(section: type[Section]) -> str:
    """Return what a kind is, with its paper."""
    return _sentence(section.model_fields["kind"].description or section.__doc__ or "")


def _is_default(field: FieldInfo, section: type[Section]) -> str:
    return " (default):" if type(field.get_default(call_default_factory=True)) is section else ":"


def _meaning(field: FieldInfo, mark: Resuming) -> str:
    choices, bounds, own = choices_of(field), _range(field), _mark_of(field)
    parts = [f"{choice(choices)}." if len(choices) > 1 else "", field.description or ""]
    parts += [f"({bounds})" if bounds else "", _fixed(own) if own not in (None, mark) else ""]
    return _sentence(" ".join(filter(None, parts))).replace("|", "\\|")


def _range(field: FieldInfo) -> str:
    """Return the range of a number, such as "from 0, below 1"."""
    words = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    found = [
        f"{word} {getattr(each, bound):g}"
        for each in field.metadata
        for bound, word in words.items()
        if abs(getattr(each, bound, _FAR)) < _FAR
    ]
    return ", ".join(found)


def _mark_of(field: FieldInfo) -> Resuming | None:
    """Return what changing a key or section means when a run resumes, if it says."""
    return next((each for each in field.metadata if isinstance(each, Resuming)), None)


def _fixed(mark: Resuming | None) -> str:
    """Return whether a resumed run may change something, as a sentence."""
    reason = mark.fixed_by if mark is not None else ""
    return f" *Fixed: {reason}.*" if reason else " *Not fixed.*"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    return "not set" if value is None else f"`{toml_value(value)}`"


def _sentence(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    print(reference(), end="")

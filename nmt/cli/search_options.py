"""Search options of a command, generated from the fields of `[search]`."""

import inspect
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from typer.main import get_command

from nmt.cli.command import Command
from nmt.errors import UsageError

if TYPE_CHECKING:  # imports pydantic, which `nmt --help` does without
    from pydantic.fields import FieldInfo

    from nmt.config.search import SearchConfig


class SearchCommand(Command):
    """A command with an option for each field of `SearchConfig`.

    Given options are stored in the context's `obj`, by field name. They are created only when this
    command is run or asked for help, since that imports pydantic.
    """

    @cached_property
    def search_options(self) -> list[Any]:
        """The options as objects of the library behind typer."""
        from nmt.config.search import SearchConfig

        maker = typer.Typer(add_completion=False, rich_markup_mode=None)
        maker.command()(_with_options(SearchConfig.model_fields))
        return list(get_command(maker).params)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return all options of the command; --help is the last."""
        *own, help_option = super().get_params(ctx)
        return [*own, *self.search_options, help_option]

    def invoke(self, ctx: Any) -> Any:
        """Run the command, with the given search options in `ctx.obj`."""
        values = {option.name: ctx.params.pop(option.name) for option in self.search_options}
        ctx.obj = {name: value for name, value in values.items() if value is not None}
        return super().invoke(ctx)


def _with_options(fields: "dict[str, FieldInfo]") -> Callable[..., None]:
    """Return an empty function with a parameter for each field."""

    def command() -> None:
        """Never called."""

    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[Optional[_type(field)], _option(name, field)],  # noqa: UP045
        )
        for name, field in fields.items()
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def _type(field: "FieldInfo") -> Any:
    """Return the option type of a field; a list of strings is read from a file."""
    return Path if field.annotation == tuple[str, ...] else field.annotation


def _option(name: str, field: "FieldInfo") -> Any:
    """Return the option of a field: its name, range and help."""
    bounds = {type(each).__name__: each for each in field.metadata}
    least = bounds["Ge"].ge if "Ge" in bounds else None
    most = bounds["Le"].le if "Le" in bounds else None
    text = " ".join((field.description or "").split())
    other = bounds.get("OnlyWith")
    if other is not None and other.value is not False:
        text = f"With {_setting(other.option, other.value)}: {text[:1].lower()}{text[1:]}"
    text = re.sub(r"`(\w+)`", lambda word: _dashed(word[1]), text)
    text = re.sub(r"\w+", lambda word: _dashed(word[0]) if "_" in word[0] else word[0], text)
    flags = f"{_dashed(name)}/--no-{name}" if field.annotation is bool else _dashed(name)
    metavar = {bool: None, int: "N", float: "X", Path: "FILE"}.get(_type(field))
    return typer.Option(flags, metavar=metavar, min=least, max=most, help=text, show_default=False)


def change_options(config: "SearchConfig", given: dict[str, object]) -> "SearchConfig":
    """Return `config` with the options that were `given` on the command line.

    Raises:
        UsageError: a value is not allowed, or an option would have no effect.
    """
    from nmt.config.search import OnlyWith, SearchConfig, change_search

    given = {name: _read(v) if isinstance(v, Path) else v for name, v in given.items()}
    config = change_search(config, given)
    for name in given:
        for other in SearchConfig.model_fields[name].metadata:
            if isinstance(other, OnlyWith) and getattr(config, other.option) != other.value:
                option, needed = _dashed(name), _setting(other.option, other.value)
                raise UsageError(
                    f"{option}: has an effect only with {needed}; add that, or leave {option} out."
                )
    return config


def read_weights(given: str | None) -> tuple[float, ...]:
    """Return the numbers of `--weights`, such as 0.7,0.3; none if it was not given.

    Raises:
        UsageError: something is no number.
    """
    try:
        return tuple(float(part) for part in given.split(",")) if given is not None else ()
    except ValueError:
        raise UsageError(
            f"--weights {given}: must be numbers between commas, one for each model, such as "
            "0.7,0.3."
        ) from None


def _read(path: Path) -> tuple[str, ...]:
    """Return the lines of a file that are not blank."""
    from nmt.text.lines import read_lines

    return tuple(line.strip() for line in read_lines(path) if line.strip())


def _setting(name: str, value: object) -> str:
    """Return an option with its value: `--sample`, `--no-sample`, `--length-penalty gnmt`."""
    if isinstance(value, bool):
        return _dashed(name if value else f"no_{name}")
    return f"{_dashed(name)} {value}"


def _dashed(name: str) -> str:
    return f"--{name.replace('_', '-')}"

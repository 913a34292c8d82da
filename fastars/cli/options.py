"""The options of a sub-command, as its dataclass declares them: their names, and the kind of value that each takes."""

from __future__ import annotations

import dataclasses
import types
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import tyro

from fastars.cli.settings import option_name


class Option(NamedTuple):
    """An option or a positional argument."""

    name: str  # --total-timesteps; ENV for a positional argument
    names: tuple[str, ...]  # its long name and its short ones
    kind: Any  # type of a value: int, float, bool, str, Path
    choices: tuple[str, ...]  # the allowed values; none: any of the kind
    is_flag: bool  # its name stands alone
    is_list: bool  # takes any number of values
    is_needed: bool
    default: Any


class Options(NamedTuple):
    """All that a sub-command takes."""

    positional: Option | None
    by_name: dict[str, Option]  # short names too

    @property
    def named(self) -> list[Option]:
        """The options, each once."""
        return list({option.name: option for option in self.by_name.values()}.values())


def options_of(command: type) -> Options:
    """Return what a sub-command takes, from the fields of its dataclass and of the dataclasses in it."""
    options = list(_options(command))
    positional = next((option for option in options if not option.names), None)
    return Options(positional, {name: option for option in options for name in option.names})


def _options(command: Any) -> list[Option]:
    hints, found = get_type_hints(command, include_extras=True), []
    for field in dataclasses.fields(command):
        kind, marks = _taken_apart(hints[field.name])
        if dataclasses.is_dataclass(kind):
            found += _options(kind)
        else:
            found.append(_option(field, kind, marks))
    return found


def _taken_apart(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a type without its annotations and without None, and the annotations."""
    marks: tuple[Any, ...] = ()
    while get_origin(kind) is Annotated:
        kind, *more = get_args(kind)
        marks += tuple(more)
    if get_origin(kind) in (Union, types.UnionType):
        kinds = [each for each in get_args(kind) if each is not type(None)]
        kind, more_marks = _taken_apart(kinds[0] if len(kinds) == 1 else str)
        marks += more_marks
    return kind, marks


def _option(field: dataclasses.Field[Any], kind: Any, marks: tuple[Any, ...]) -> Option:
    is_positional = any(mark is tyro.conf.Positional for mark in marks)
    metavar = next((mark.metavar for mark in marks if getattr(mark, "metavar", None)), field.name.upper())
    short = next((tuple(mark.aliases) for mark in marks if getattr(mark, "aliases", None)), ())
    own_name = next((mark.name for mark in marks if isinstance(getattr(mark, "name", None), str)), field.name)
    name = metavar.strip("[").split()[0] if is_positional else option_name(own_name)
    is_list = get_origin(kind) is tuple
    while get_origin(kind) is tuple:
        kind = get_args(kind)[0]
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    return Option(
        name=name,
        names=() if is_positional else (name, *short),
        kind=kind if kind in (int, float, bool, Path) else str,
        choices=tuple(map(str, choices)),
        is_flag=kind is bool and field.default is not None,
        is_list=is_list,
        is_needed=not has_default and not is_list,
        default=field.default,
    )

"""The search space as the user says it: `--range`, `--choices`, `--search`, and a file with all three."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastars._validate import boolean, did_you_mean, integer, number, one_of
from fastars.cli.errors import WrongUseError
from fastars.cli.settings import option_name
from fastars.cli.tuning.space import BOOLS, FLOATS, FRACTION, INTEGERS, MOST_POINTS, NAMES, NETS, Axis, points, shown
from fastars.envs.keywords import parse_keywords


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The axes that the user named: `axes` with ranges or choices, `search` those that replace the usual ones."""

    axes: Mapping[str, Axis]
    search: tuple[str, ...] = ()

    def space(self, defaults: Mapping[str, Axis], fixed: Iterable[str], is_grid: bool) -> list[Axis]:
        """Return the axes of the search.

        Parameters
        ----------
        defaults : mapping of str to Axis
            Axes that are searched if the user names none.
        fixed : iterable of str
            Settings that have options of their own: they are not searched.
        is_grid : bool
            True: only the axes that the user named are searched, and they need choices.

        Raises
        ------
        WrongUseError
            If a setting is both searched and fixed, or has no range, or a grid is too large.
        """
        fixed = set(fixed)
        for name in (*self.axes, *self.search):
            if name in fixed or (name == FRACTION and "n_top" in fixed):
                given = option_name("n_top" if name == FRACTION else name)
                raise WrongUseError(f"{name} can't be both searched and given as {given}")
        known = {**defaults, **self.axes}
        if "n_top" in self.axes or "n_top" in fixed:
            known.pop(FRACTION, None)
        missing = [name for name in self.search if name not in known]
        if missing:
            raise WrongUseError(f"--search {missing[0]} needs a range or choices: --range {missing[0]}=LOW:HIGH or --choices ...")
        named = (*self.search, *self.axes) if self.search or is_grid else tuple(known)
        axes = [known[name] for name in dict.fromkeys(named) if name not in fixed]
        if is_grid:
            _refuse_grid(axes)
        if not axes:
            raise WrongUseError("nothing is left to search: every setting of the search has an option of its own")
        return axes


def _refuse_grid(axes: Sequence[Axis]) -> None:
    for axis in axes:
        if not axis.choices:
            raise WrongUseError(f"--sampler grid needs choices of {axis.name}: --choices {axis.name}=A,B,...")
    if not axes:
        raise WrongUseError("--sampler grid needs choices: --choices NAME=A,B,...")
    if (n := len(points(axes))) >= MOST_POINTS:
        raise WrongUseError(f"--sampler grid: {n:,} combinations or more; at most {MOST_POINTS:,} are possible")


def asked(ranges: Iterable[str], choices: Iterable[str], search: Sequence[str], path: Path | None) -> Asked:
    """Return what the user says in options and in a file; options win.

    Raises
    ------
    WrongUseError
        If a name is unknown, or a value is none that the setting can have.
    """
    axes, of_file = ({}, ()) if path is None else _of_file(path)
    for text in ranges:
        name, value = _named(text, "--range", "LOW:HIGH or NAME=LOW:HIGH:log")
        parts = value.split(":")
        axes[name] = _range_axis("--range", name, [*map(_literal, parts[:2]), *parts[2:]])
    for text in choices:
        name, value = _named(text, "--choices", "A,B,...")
        axes[name] = _choices_axis("--choices", name, [_literal(part) for part in value.split(",")])
    for name in search:
        _refuse_unknown("--search", name)
    return Asked(axes=axes, search=tuple(search) or of_file)


def checked_axis(where: str, stored: Mapping[str, Any]) -> Axis:
    """Return the axis in a study, after the checks of the options; `where` begins the message of an error."""
    name, choices = stored["name"], stored["choices"]
    if choices:
        return _choices_axis(where, name, choices)
    return _range_axis(where, name, [stored["low"], stored["high"], *(["log"] if stored["log"] else [])])


def _of_file(path: Path) -> tuple[dict[str, Axis], tuple[str, ...]]:
    from fastars.files.tables import read_toml

    try:
        content = read_toml(path)
    except FileNotFoundError as error:
        raise WrongUseError(f"--space: there is no file {path}") from error
    for name in content:
        if name not in ("range", "choices", "search"):
            raise WrongUseError(f"{path} has {name!r}; a space has the tables [range] and [choices], and the list `search`")
    ranges, choices, search = content.get("range", {}), content.get("choices", {}), content.get("search", [])
    if not (isinstance(ranges, dict) and isinstance(choices, dict) and isinstance(search, list)):
        raise WrongUseError(f"{path}: [range] and [choices] must be tables, and `search` a list of names")
    axes = {name: _range_axis(f"{path}: range", name, value) for name, value in ranges.items()}
    axes |= {name: _choices_axis(f"{path}: choices", name, value) for name, value in choices.items()}
    for name in search:
        _refuse_unknown(f"{path}: search", name)
    return axes, tuple(search)


def _named(text: str, option: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise WrongUseError(f"{option} takes NAME={form}, got {text!r}")
    return name.replace("-", "_"), value


def _literal(text: str) -> Any:
    return parse_keywords("", [f"value={text}"])["value"]


def _refuse_unknown(where: str, name: Any) -> None:
    if name not in NAMES:
        near = did_you_mean(name, NAMES) if isinstance(name, str) else ""
        raise WrongUseError(f"{where}: {name!r} is no setting that can be searched{near or '; those are ' + ', '.join(NAMES)}")


def _range_axis(where: str, name: str, value: Any) -> Axis:
    _refuse_unknown(where, name)
    if name not in (*INTEGERS, *FLOATS):
        raise WrongUseError(f"{where}: {name} has no range, give its choices: {name}=A,B,...")
    if not isinstance(value, list) or len(value) not in (2, 3) or (len(value) == 3 and value[2] != "log"):
        raise WrongUseError(f'{where}: {name} takes LOW:HIGH or LOW:HIGH:log (in a file, [low, high] or [low, high, "log"])')
    low, high = (_checked(where, name, each) for each in value[:2])
    log = len(value) == 3
    if low > high or (log and low <= 0):
        allowed = "LOW above 0, and at most HIGH" if log else "LOW at most HIGH"
        raise WrongUseError(f"{where}: {name} needs {allowed}, got {low:g} to {high:g}")
    return Axis(name=name, low=low, high=high, log=log)


def _choices_axis(where: str, name: str, values: Any) -> Axis:
    _refuse_unknown(where, name)
    if not isinstance(values, list) or not values:
        raise WrongUseError(f"{where}: {name} takes a list of values, got {values!r}")
    checked = tuple(_checked(where, name, value) for value in values)
    if len(set(checked)) < len(checked):
        raise WrongUseError(f"{where}: {name} has a choice twice: {', '.join(map(shown, checked))}")
    return Axis(name=name, choices=checked)


def _checked(where: str, name: str, value: Any) -> Any:
    """Return a value in the kind of its setting, after the check that `ARS` makes."""
    from fastars.training.setting_checks import CHECKS

    try:
        if name == FRACTION:
            value = number(name, value, above=0.0)
            if value > 1:
                raise ValueError(f"{name} must be at most 1, got {value!r}")
            return value
        if name in NETS:
            units = value if isinstance(value, list) else str(value).split()
            return " ".join(map(str, CHECKS[name](name, [int(unit) for unit in units])))
        if name in BOOLS:
            return boolean(name, value)
        if name in INTEGERS:
            return CHECKS[name](name, integer(name, value))
        if name in FLOATS:
            return CHECKS[name](name, number(name, value))
        return _method(value) if name == "weighting" else CHECKS[name](name, value)
    except (ValueError, TypeError) as error:
        raise WrongUseError(f"{where}: {error}") from error


def _method(value: Any) -> str:
    from fastars.weighting import METHODS

    return str(one_of("weighting", value, METHODS))

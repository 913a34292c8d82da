"""The section on what was run: environment, settings that differ from the defaults, versions, machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fastars.cli.page.elements import Html, element, facts, table
from fastars.cli.page.facts import Facts
from fastars.cli.page.groups import Group
from fastars.cli.page.numbers import whole
from fastars.cli.page.repeat import assumed_settings
from fastars.training.config import Config

_OF_PLAN = {
    "total_timesteps": "steps",
    "iterations": "iterations",
    "eval_freq": "steps between evaluations",
    "eval_episodes": "episodes in each",
    "save_freq": "steps between checkpoints",
}
_COLUMNS = ("setting", "value", "default", "from")
_Row = tuple[str, str, str, str]


def settings_content(groups: Sequence[Group]) -> Iterator[Html]:
    """Yield what was run: first what all groups of runs share, then what differs in each."""
    described = [dict(_described(group)) for group in groups]
    settings = [_changed_settings(group.members[0]) for group in groups]
    shared = {name: value for name, value in described[0].items() if all(each.get(name) == value for each in described)}
    common = [row for row in settings[0] if all(row in rows for rows in settings)]
    yield facts(shared.items())
    if common or len(groups) == 1:
        yield _settings_table(common, "Settings that are not the defaults")
    if len(groups) == 1:
        return
    for group, pairs, rows in zip(groups, described, settings, strict=True):
        yield element("h3", group.full_name)
        yield facts((name, value) for name, value in pairs.items() if shared.get(name) != value)
        yield _settings_table([row for row in rows if row not in common], "Other settings that are not the defaults")


def _described(group: Group) -> Iterator[tuple[str, str]]:
    first = group.members[0]
    run, policy = first.config["run"], first.last
    kwargs = ", ".join(f"{name}={value!r}" for name, value in first.config["env"].items() if name != "id")
    yield "environment", f"{first.env_id} ({kwargs})" if kwargs else first.env_id
    seeds = [str(each.seed) for each in group.members]
    yield ("seed" if len(seeds) == 1 else "seeds"), ", ".join(seeds)
    for name in ("preset", "variant"):
        if name in run:
            yield name, str(run[name])
    if policy is not None:
        yield "weights", f"{policy.n_weights:,} ({first.config['settings'].get('policy', 'policy')})"
    planned = ((words, getattr(first.plan, name)) for name, words in _OF_PLAN.items())
    yield "plan", ", ".join(f"{whole(value)} {words}" for words, value in planned if value is not None)
    for name, words in (("n_threads", "threads"), ("n_workers", "worker processes")):
        if name in run:
            yield words, str(run[name])
    for name in ("machine", "versions"):
        if text := _listed(each.config.get(name, {}) for each in group.members):
            yield name, text


def _listed(tables: Iterable[Mapping[str, Any]]) -> str:
    """Return the entries of tables as one text; tables that differ follow each other."""
    return "; ".join(dict.fromkeys(", ".join(f"{name} {value}" for name, value in each.items()) for each in tables if each))


def _changed_settings(each: Facts) -> list[_Row]:
    """Return the settings that are not the defaults, and where they come from."""
    stored, usual, assumed = each.config["settings"], Config().to_dict(), assumed_settings(each.config)
    rows = []
    for name, value in stored.items():
        is_default = value == (stored.get("n_delta") if name == "n_top" else usual.get(name))
        if not is_default:
            source = "the preset" if value == assumed.get(name) else "the command"
            rows.append((name, _text(value), "n_delta" if name == "n_top" else _text(usual.get(name)), source))
    return rows


def _settings_table(rows: Sequence[_Row], caption: str) -> Html:
    if not rows:
        return element("p", "No other setting differs from the defaults.")
    return table(caption, _COLUMNS, [(element("code", name), *rest) for name, *rest in rows])


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "not set" if value is None else str(value)

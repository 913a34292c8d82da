"""Put runs that differ only in their seed together, and name these groups by what tells them apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastars._printable import printable
from fastars.plot.runs import Run

_MOST = 80  # characters: a file from another person may have any text, and a picture has no room
_MOST_NAMES = 3  # settings that a label names, if fewer tell the curves apart


def short(text: str) -> str:
    """Return a text of a file as one printable line that a picture has room for."""
    return printable(text if len(text) <= _MOST else f"{text[:_MOST]} ...")


def by_settings(runs: Sequence[Run]) -> list[tuple[str, list[Run]]]:
    """Return the groups of runs that differ only in their seed, each after its label, in the order of their first runs."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        settings = json.dumps(run.settings, sort_keys=True, default=str)
        groups.setdefault((run.env_id, settings), []).append(run)
    named: dict[tuple[str, str], str] = {}
    for env_id in dict.fromkeys(env_id for env_id, _ in groups):
        alike = [key for key in groups if key[0] == env_id]
        named.update(zip(alike, labels([groups[key] for key in alike]), strict=True))
    return [(named[key], group) for key, group in groups.items()]


def labels(groups: Sequence[Sequence[Run]]) -> list[str]:
    """Return a label for each group of runs of one environment.

    A label has the settings in which the groups differ. If these are more than three, it has those that tell the groups apart, and
    three dots. A group without settings, or that no setting tells apart, is named by the folder of its first run.
    """
    settings = [_flat(group[0].settings) for group in groups]
    known = [each for each in settings if each]
    names = [name for name in _in_order(known) if len({repr(each.get(name)) for each in known}) > 1]
    chosen = names if len(names) <= _MOST_NAMES else _telling(names, known)
    dots = [] if len(chosen) == len(names) else ["..."]
    texts = [", ".join([*(f"{name}={each.get(name)}" for name in chosen), *dots]) if each else "" for each in settings]
    return [
        short(text) if text and texts.count(text) == 1 else short(_folder(group)) for text, group in zip(texts, groups, strict=True)
    ]


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the entries of tables, such as `policy_kwargs`, in place of the tables."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat.update(value if isinstance(value, Mapping) else {name: value})
    return flat


def _in_order(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return all names: first the preset, which stands for others, then the rest by the alphabet.

    `n_top` is left out if it is `n_delta` everywhere, as it is unless somebody sets it.
    """
    names = {name for each in settings for name in each}
    if all(each.get("n_top") == each.get("n_delta") for each in settings):
        names.discard("n_top")
    return sorted(names, key=lambda name: (name != "preset", name))


def _telling(names: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the fewest of the names that tell the settings apart, as far as taking the best one each time finds them."""

    def n_apart(chosen: Sequence[str]) -> int:
        return len({repr([each.get(name) for name in chosen]) for each in settings})

    chosen: list[str] = []
    while n_apart(chosen) < n_apart(names):
        chosen.append(max(names, key=lambda name: n_apart([*chosen, name])))
    return chosen


def _folder(group: Sequence[Run]) -> str:
    """Return the last two parts of the path of the first run, and the number of the others."""
    first = "/".join(Path(group[0].folder).parts[-2:])
    return f"{first} and {len(group) - 1} more" if len(group) > 1 else first

"""What was run: environment, settings that differ from the defaults, versions, machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastars.cli.page.elements import Html, element, facts, table
from fastars.cli.page.facts import Facts
from fastars.cli.page.groups import Group
from fastars.cli.page.numbers import whole
from fastars.cli.page.repeat import assumed_settings
from fastars.training.config import Config

_OF_PLAN = ("total_timesteps", "iterations", "eval_freq", "eval_episodes", "save_freq")


def settings_content(groups: Sequence[Group]) -> Iterator[Html]:
    """Yield what was run, once for each group of runs."""
    several = len(groups) > 1
    for group in groups:
        first = group.members[0]
        if several:
            yield element("h3", group.full_label if group.env_id == group.label else f"{group.env_id}: {group.full_label}")
        yield facts(_described(group, first))
        yield _settings_table(first)


def _described(group: Group, first: Facts) -> Iterator[tuple[str, Any]]:
    run, policy = first.config["run"], first.last
    kwargs = ", ".join(f"{name}={value!r}" for name, value in first.config["env"].items() if name != "id")
    yield "environment", f"{first.env_id} ({kwargs})" if kwargs else first.env_id
    seeds = [str(each.seed) for each in group.members]
    yield ("seed" if len(seeds) == 1 else "seeds"), ", ".join(seeds)
    yield "preset", run.get("preset")
    yield "variant", run.get("variant")
    if policy is not None:
        yield "weights", f"{policy.n_weights:,} ({first.config['settings'].get('policy', 'policy')})"
    yield "plan", ", ".join(f"{name} {whole(value)}" for name in _OF_PLAN if (value := getattr(first.plan, name)) is not None)
    yield "threads", run.get("n_threads")
    yield "worker processes", run.get("n_workers")
    yield "machine", _listed(each.config.get("machine", {}) for each in group.members)
    yield "versions", _listed(each.config.get("versions", {}) for each in group.members)


def _listed(tables: Any) -> str | None:
    """Return the entries of tables as one text; texts that differ follow each other."""
    texts = dict.fromkeys(", ".join(f"{name} {value}" for name, value in each.items()) for each in tables if each)
    return "; ".join(texts) or None


def _settings_table(facts_of_run: Facts) -> Html:
    """Return the settings that are not the defaults, and where they come from."""
    stored, usual = facts_of_run.config["settings"], Config().to_dict()
    assumed = assumed_settings(facts_of_run.config)
    rows = []
    for name, value in stored.items():
        if name == "n_top" and value == stored.get("n_delta"):
            continue  # its default
        if not _equal(value, usual.get(name)):
            source = "the preset" if _equal(value, assumed.get(name)) else "the command"
            rows.append((element("code", name), _text(value), _text(usual.get(name)), source))
    if not rows:
        return element("p", "All settings are the defaults.")
    return table("Settings that are not the defaults", ("setting", "value", "default", "from"), rows)


def _equal(value: Any, other: Any) -> bool:
    return bool(value == other) or (isinstance(value, Mapping) and not value and not other)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "not set" if value is None else str(value)

"""The presets: the choices of each published ARS, and hyperparameters by environment, as tables in TOML beside this file.

`CHOICES` has all presets, by name. `paper.toml` has the settings that the paper reports, `tuned.toml` settings found by trials,
and `results.toml` the returns that `tuned` reached: written by `python -m bench.presets`, never by hand. An environment is named
without its version. The files are read at their first use.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["CHOICES", "environments", "physics", "results", "rows", "task_name", "timesteps"]

_FILES = ("paper", "tuned")
_TIMESTEPS = 1_000_000  # where nothing was tried

# Sources: Mania, Guy & Recht 2018 (arXiv 1803.07055); the original code; RLlib 2.8; stable-baselines3-contrib 2.9. All of them run
# here with a filter frozen during an iteration: a live one makes a return depend on which candidates ran before it.
CHOICES: dict[str, dict[str, Any]] = {
    "fastars": {},
    "tuned": {},
    "paper": {"clip_actions": False},
    "modestyachts": {"keep_ties": True, "clip_actions": False, "filter_epsilon": 1e-8},
    "rllib": {"keep_ties": True, "clip_actions": False, "filter_epsilon": 1e-6, "filter_min_std": 0.0},
    "sb3": {
        "return_ddof": 1,
        "std_epsilon": 1e-6,
        "divide_by_n_top": True,
        "filter_ddof": 0,
        "filter_var_epsilon": 1e-8,
        "filter_min_std": 0.0,
        "clip_observations": 10.0,
    },
}


def environments(preset: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the table of a preset: by environment `rows` (a list of settings), and where known `total_timesteps` and `source`.

    Empty for a preset that is the same for every environment.
    """
    return _table(preset) if preset in _FILES else {}


def physics(preset: str | None) -> str:
    """Return the physics that a preset prefers: "lanes" for "tuned", where they are available; otherwise "mujoco"."""
    return "lanes" if preset == "tuned" else "mujoco"


def rows(preset: str, env_id: str) -> tuple[dict[str, Any], ...]:
    """Return the hyperparameters of a preset for an environment, a row for each variant."""
    found = environments(preset).get(task_name(env_id), {}).get("rows", ())
    return tuple(dict(row) for row in found)


def timesteps(env_id: str) -> int:
    """Return a number of environment steps that suits training in an environment."""
    return int(environments("tuned").get(task_name(env_id), {}).get("total_timesteps", _TIMESTEPS))


def results() -> Mapping[str, Mapping[str, Any]]:
    """Return the measured returns of `tuned`, by the id of the environment."""
    return _table("results")


def task_name(env_id: str) -> str:
    """Return the id of an environment without its version."""
    return re.sub(r"-v\d+$", "", env_id)


@cache
def _table(name: str) -> dict[str, Any]:
    resource = files("fastars.training.presets") / f"{name}.toml"
    try:
        return tomllib.loads(resource.read_text(encoding="utf-8"))
    except ValueError as error:  # of TOML, or of UTF-8
        raise ValueError(f"{resource} is damaged: {error}; install fastars again") from error

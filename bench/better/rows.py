"""The rows of the study: a task, an idea, and changes of the plain settings, written as `idea name=value name*factor`.

`plain` and `orthogonal alpha*2 N=16` are such rows. Names are the paper's: alpha, nu, N, b, and shift; `filter=0` is V1.
"""

import re
from typing import Any, NamedTuple

from bench.better.ideas import IDEAS
from bench.paper.seeds import RANDOM_SEEDS

SEEDS = RANDOM_SEEDS[:20]  # of every row
OTHER_SEEDS = RANDOM_SEEDS[20:40]  # on which rows are confirmed that were the best of many on the first
FRESH_SEEDS = RANDOM_SEEDS[60:80]  # with which chosen presets are reported: no row of an idea has them
SEARCH_SEEDS = tuple(range(101, 121))  # on which presets are chosen
_PLACES = {seed: place for place, seed in enumerate(RANDOM_SEEDS)}
GRID_PARTS, GRID_RATIO = 100, 1.07  # the first evaluation is after 1/100 of the budget, the next ones after 7 % more steps each


class Task(NamedTuple):
    """A task with its threshold, the environment steps after which a seed counts as failed, and the plain settings."""

    env_id: str
    threshold: float
    budget: int
    settings: dict[str, Any]


def settings(alpha: float, nu: float, n: int, b: int, shift: float = 0.0, filtered: bool = True, **others: Any) -> dict[str, Any]:
    """Return arguments of `ARS` from the names of the paper."""
    names = {"learning_rate": alpha, "delta_std": nu, "n_delta": n, "n_top": b, "alive_bonus_offset": -shift}
    return {**names, "normalize_observations": filtered, **others}


_LANES = {"physics": "lanes", "clip_actions": False}
# Plain settings are those of the preset "tuned" on 2026-12-01. They are written down here, so that rows keep their meaning.
TASKS = {
    "Pendulum": Task("Pendulum-v1", -900.0, 4_000_000, settings(0.05, 0.1, 8, 8)),
    "Swimmer": Task("Swimmer-v5", 325.0, 2_000_000, settings(0.2, 0.5, 16, 4, filtered=False, **_LANES)),
    "HalfCheetah": Task("HalfCheetah-v5", 3430.0, 12_000_000, settings(0.02, 0.03, 32, 4, **_LANES)),
    "Hopper": Task("Hopper-v5", 3120.0, 10_000_000, settings(0.02, 0.025, 32, 16, shift=1.0, **_LANES)),
    "Walker2d": Task("Walker2d-v5", 4390.0, 40_000_000, settings(0.03, 0.025, 40, 30, shift=1.0, **_LANES)),
}
_NAMES = {"alpha": "learning_rate", "nu": "delta_std", "N": "n_delta", "b": "n_top", "shift": "alive_bonus_offset"}
_NAMES |= {"filter": "normalize_observations", "horizon": "max_episode_steps", "episodes": "n_eval_episodes"}
_CHANGE = re.compile(r"(?P<name>\w+)(?P<how>[=*])(?P<value>[\d.]+)")


class Row(NamedTuple):
    """A row of the study."""

    task: str
    variant: str  # an idea, and changes of the settings

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.env_id}_{self.variant.replace(' ', '_').replace('*', 'x')}"

    @property
    def env_id(self) -> str:
        """Id of its environment."""
        return TASKS[self.task].env_id

    @property
    def threshold(self) -> float:
        """Mean return at which a seed is done."""
        return TASKS[self.task].threshold

    @property
    def budget(self) -> int:
        """Environment steps of training."""
        return TASKS[self.task].budget

    @property
    def idea(self) -> str:
        """Name of the idea, of `IDEAS`."""
        return self.variant.split()[0]

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of `ARS`."""
        changed = dict(TASKS[self.task].settings)
        for word in self.variant.split()[1:]:
            change = _CHANGE.fullmatch(word)
            if change is None or change["name"] not in _NAMES:
                raise ValueError(f"a change is NAME=VALUE or NAME*FACTOR with a name of {', '.join(_NAMES)}; got {word!r}")
            name, value = _NAMES[change["name"]], float(change["value"])
            value = value * changed[name] if change["how"] == "*" else -value if name == "alive_bonus_offset" else value
            changed[name] = {"learning_rate": float, "delta_std": float, "alive_bonus_offset": float}.get(name, round)(value)
        changed["normalize_observations"] = bool(changed["normalize_observations"])
        return changed

    @property
    def grid(self) -> list[int]:
        """Environment steps after which the policy is evaluated, at the end of the iteration that reaches them."""
        found = [self.budget // GRID_PARTS]
        while found[-1] < self.budget:
            found.append(min(round(found[-1] * GRID_RATIO), self.budget))
        return found

    @property
    def described(self) -> dict[str, Any]:
        """Beginning of its file: everything that its seeds have in common."""
        names = "task", "variant", "settings", "threshold", "budget"
        return {"table": "better", "env": self.env_id, **{name: getattr(self, name) for name in names}}

    @property
    def threads(self) -> int:
        """Threads of a run."""
        return 1

    def place(self, seed: int) -> int:
        """Return the place of a seed in the file: in the order of the rule, those of the search last."""
        return _PLACES.get(seed, len(_PLACES) + seed)


# Controls: what other step sizes, noises and numbers of directions do to plain ARS.
CONTROLS = (
    "plain alpha*0.5",
    "plain alpha*2",
    "plain nu*0.5",
    "plain nu*2",
    "plain alpha*2 nu*2",
    "plain N*0.5 b*0.5",
    "plain N*2 b*2",
)
VARIANTS = (*IDEAS, *CONTROLS)

# The fastest rows of a task, and controls that are made of what they do: these run with the other 20 seeds.
CONFIRMED = {
    "Pendulum": (
        "plain alpha*2 nu*2",
        "plain N*0.5 b*0.5 alpha*2 nu*2",
        "plain N*0.5 b*0.5",
        "annealed",
        "annealed N*0.5 b*0.5",
        "growing-directions",
        "growing-directions alpha*2 nu*2",
        "common-numbers",
        "common-numbers alpha*2 nu*2",
        "reuse",
        "importance",
        "clipup",
        "orthogonal",
    ),
}

# Presets: the paper's V2-t where it has one, and the settings that are tried on the seeds of the search.
PAPERS = {
    "Swimmer": "plain alpha=0.02 nu=0.01 N=1 b=1 filter=1",
    "HalfCheetah": "plain",
    "Hopper": "plain alpha=0.01 nu=0.025 N=8 b=4",
    "Walker2d": "plain",
}
SEARCHED = {
    "Pendulum": (
        "plain",
        "plain alpha*2 nu*2",
        "plain alpha*2 nu*4",
        "plain alpha*4 nu*2",
        "plain alpha*4 nu*4",
        "plain alpha*2 nu*2 N=16 b=16",
        "plain alpha*2 nu*2 N=4 b=4",
        "plain alpha*4 nu*4 N=16 b=16",
    ),
    "Swimmer": ("plain", "plain N=8 b=2", "plain N=8 b=4", "plain N=4 b=2", "plain N=8 b=4 alpha*2", "plain N=8 b=2 nu*0.5"),
    "HalfCheetah": (
        "plain",
        "plain N=16 b=4",
        "plain N=8 b=4",
        "plain N=16 b=8",
        "plain N=16 b=4 nu=0.05",
        "plain N=16 b=4 alpha=0.03 nu=0.05",
        "plain N=32 b=4 nu=0.05",
        "plain N=32 b=8 alpha=0.03 nu=0.05",
    ),
    "Hopper": (
        "plain",
        "plain N=16 b=8",
        "plain N=16 b=8 nu=0.04",
        "plain nu=0.04",
        "plain b=8",
        "plain alpha=0.03",
        "plain shift=0.5",
        "plain N=64 b=32 alpha=0.03",
    ),
    "Walker2d": ("plain", "plain nu=0.04", "plain b=20", "plain N=20 b=15", "plain N=64 b=32 alpha=0.04", "plain shift=0.5"),
}

PLAN = [Row(task, variant) for task in TASKS for variant in VARIANTS]


def row_of(task: str, variant: str) -> Row:
    """Return a row, whose idea and changes are known.

    Raises
    ------
    SystemExit
        If they are not.
    """
    row = Row(task, variant)
    if row.idea not in IDEAS:
        raise SystemExit(f"an idea is one of {', '.join(IDEAS)}; got {row.idea!r}")
    try:
        row.settings  # noqa: B018
    except ValueError as error:
        raise SystemExit(str(error)) from None
    return row

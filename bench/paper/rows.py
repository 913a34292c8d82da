"""The rows of the study: a task, a variant of ARS, and a version of Gymnasium's environment.

Settings are those of the preset "paper": `fastars/training/presets/paper.toml` has the paper's rows for V2 and V2-t. V1 and V1-t
take the same rows without the filter of observations, because the paper's own values for them could not be found. Rows "tuned" have
the settings of that preset: they were chosen with seeds 1 to 10 and the paper's three, so its random seeds are new to them.
"""

from typing import Any, NamedTuple

from fastars.training import presets

VARIANTS = ("V1", "V1-t", "V2", "V2-t")
OWN = "tuned"
MOST_STEPS = 1_000  # of an episode, in all of these tasks
NEWEST = 5  # version of Gymnasium's environments
EVERY = 10  # iterations between evaluations, as in the paper
EVEN_UNTIL = 80  # iterations; from there on there are 8 evaluations while the iterations double


class Task(NamedTuple):
    """A task: the paper's threshold, and the training episodes after which a seed counts as failed, for each variant.

    A budget is at least twice the mean of the paper's three seeds. A variant that is not there has the settings of another one
    (b = N), or was not in the paper.
    """

    threshold: float
    budgets: dict[str, int]
    physics: str = "lanes"


TASKS = {
    "Swimmer": Task(325.0, {"V1": 4_000, "V2": 4_000, OWN: 4_000}),
    "Hopper": Task(3120.0, {"V1": 180_000, "V1-t": 110_000, "V2": 20_000, "V2-t": 20_000, OWN: 20_000}),
    "HalfCheetah": Task(3430.0, {"V1": 40_000, "V1-t": 40_000, "V2": 20_000, "V2-t": 20_000}),
    "Walker2d": Task(4390.0, {"V1": 800_000, "V1-t": 350_000, "V2": 200_000, "V2-t": 80_000}),
    "Ant": Task(3580.0, {"V1": 210_000, "V1-t": 120_000, "V2": 125_000, "V2-t": 80_000}),
    "Humanoid": Task(6000.0, {"V2": 300_000}, physics="mujoco"),
}

# The paper's table 1: episodes to the threshold, the mean of three seeds. None: not reached.
PAPER_EPISODES: dict[str, dict[str, int | None]] = {
    "Swimmer": {"V1": 100, "V1-t": 100, "V2": 427, "V2-t": 427},
    "Hopper": {"V1": 89_493, "V1-t": 51_840, "V2": 3_013, "V2-t": 1_973},
    "HalfCheetah": {"V1": 10_240, "V1-t": 8_106, "V2": 2_720, "V2-t": 1_707},
    "Walker2d": {"V1": 392_000, "V1-t": 166_133, "V2": 89_600, "V2-t": 24_000},
    "Ant": {"V1": 101_066, "V1-t": 58_133, "V2": 60_533, "V2-t": 20_800},
    "Humanoid": {"V1": None, "V1-t": None, "V2": 142_600, "V2-t": 142_600},
}
PAPER_BEST = {"Swimmer": 361, "Hopper": 3_047, "HalfCheetah": 2_345, "Walker2d": 894}  # table 2: the best return in 10^6 steps


class Row(NamedTuple):
    """A row of the study."""

    task: str
    variant: str  # of `VARIANTS`, or `OWN`
    version: int = NEWEST

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.env_id}_{self.variant}"

    @property
    def env_id(self) -> str:
        """Id of its environment."""
        return f"{self.task}-v{self.version}"

    @property
    def threshold(self) -> float:
        """Mean return at which the paper counts the task as solved."""
        return TASKS[self.task].threshold

    @property
    def paper_episodes(self) -> int | None:
        """The paper's mean of three seeds, None if it has none."""
        return PAPER_EPISODES[self.task].get(self.variant) if self.version == NEWEST else None

    @property
    def budget(self) -> int:
        """Training episodes of a seed."""
        return TASKS[self.task].budgets[self.variant]

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of `ARS`."""
        physics = TASKS[self.task].physics
        if self.variant == OWN:
            (found,) = presets.rows(OWN, self.task)
            return {"preset": OWN, "physics": physics, **found}
        is_top, normalized = self.variant.endswith("-t"), self.variant.startswith("V2")
        (found,) = (row for row in presets.rows("paper", self.task) if (row["n_top"] < row["n_delta"]) == is_top)
        return {"preset": "paper", "physics": physics, **found, "normalize_observations": normalized}

    @property
    def episodes_per_iteration(self) -> int:
        """Training episodes of an iteration: each direction has two."""
        return 2 * self.settings["n_delta"]

    @property
    def grid(self) -> list[int]:
        """Iterations after which the policy is evaluated."""
        return evaluated_iterations(-(-self.budget // self.episodes_per_iteration))

    @property
    def described(self) -> dict[str, Any]:
        """The head of its file, before the seeds."""
        return {
            "table": "paper",
            "task": self.task,
            "variant": self.variant,
            "env": self.env_id,
            "settings": self.settings,
            "threshold": self.threshold,
            "budget": self.budget,
            "grid": self.grid,
        }


def evaluated_iterations(last: int) -> list[int]:
    """Return the iterations of the evaluations of a run: every 10th, then every 20th from 160 on, every 40th from 320 on, ..."""
    grid, iteration = [], EVERY
    while iteration < last:
        grid.append(iteration)
        iteration += EVERY * (1 << max((iteration // EVEN_UNTIL).bit_length() - 1, 0))
    return [*grid, last]


def all_rows() -> list[Row]:
    """Return the rows of the paper's table 1, v4 rows that are nearer to its environments, and rows with settings of our own."""
    v5 = [Row(task, variant) for task, each in TASKS.items() for variant in each.budgets if variant != OWN]
    own = [Row(task, OWN) for task, each in TASKS.items() if OWN in each.budgets]
    return [*v5, Row("Hopper", "V2-t", 4), Row("Walker2d", "V2-t", 4), *own]


# What `python -m bench.paper` runs without a task, cheap rows first: rows, and random seeds beside the paper's three.
_FILTERED = ("V2-t", "V2")
PLAN: list[tuple[Row, int]] = [
    *((Row("Swimmer", variant), 0) for variant in ("V1", "V2")),
    *((Row("HalfCheetah", variant), 0) for variant in ("V2-t", "V2", "V1-t", "V1")),
    *((Row("Hopper", variant), 0) for variant in _FILTERED),
    *((Row("Swimmer", variant), 100) for variant in ("V1", "V2")),
    *((Row(task, variant), 100) for variant in _FILTERED for task in ("HalfCheetah", "Hopper")),
    *((Row(task, OWN), 100) for task in ("Swimmer", "Hopper")),
    *((Row(task, "V2-t"), 0) for task in ("Walker2d", "Ant")),
    *((Row("Hopper", variant), 0) for variant in ("V1-t", "V1")),
    *((Row("HalfCheetah", variant), 100) for variant in ("V1-t", "V1")),
    *((Row(task, "V2-t", 4), 20) for task in ("Hopper", "Walker2d")),
    *((Row(task, "V2-t"), 20) for task in ("Walker2d", "Ant")),
    (Row("Humanoid", "V2"), 0),
    *((Row(task, variant), 0) for variant in ("V2", "V1-t") for task in ("Walker2d", "Ant")),
    *((Row("Hopper", variant), 100) for variant in ("V1-t", "V1")),
    (Row("Walker2d", "V2-t"), 100),
    *((Row(task, "V1"), 0) for task in ("Ant", "Walker2d")),
]

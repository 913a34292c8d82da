"""The rows: rl-zoo's settings for ARS, trained by each package, and the four lines of a plot of wall time.

Settings, steps and figures are those of rl-baselines3-zoo: `hyperparams/ars.yml`, `hyperparams/ppo.yml` and `benchmark.md` at
commit 22e3ff2 (April 2026). Its figures are of one run each, some of older versions of the environments.
"""

from typing import Any, NamedTuple

THEIRS, OURS, LANES = "sb3-contrib", "fastars", "fastars-lanes"
PPO = "PPO"


class Figure(NamedTuple):
    """A line of rl-zoo's table of trained agents: one run, evaluated for 150,000 steps."""

    mean: float
    deviation: float  # of the episodes
    steps: str
    env_id: str


class Task(NamedTuple):
    """An environment with the settings of rl-zoo."""

    steps: int
    settings: dict[str, Any]  # arguments of `ARS` in both packages
    zoo: Figure
    n_seeds: int = 3
    normalize: bool = True  # observations


_NETWORK = {"policy": "MlpPolicy", "learning_rate": 0.018, "n_delta": 4, "n_top": 1, "delta_std": 0.1, "zero_policy": False}
_NETWORK |= {"policy_kwargs": {"net_arch": [16]}}


def _linear(learning_rate: float, delta_std: float, n_delta: int, n_top: int, alive_bonus_offset: float) -> dict[str, Any]:
    return {
        "policy": "LinearPolicy",
        "learning_rate": learning_rate,
        "delta_std": delta_std,
        "n_delta": n_delta,
        "n_top": n_top,
        "alive_bonus_offset": alive_bonus_offset,
    }


TASKS = {
    "CartPole-v1": Task(
        50_000, {"policy": "LinearPolicy", "n_delta": 2}, Figure(500.0, 0.0, "50k", "CartPole-v1"), n_seeds=5, normalize=False
    ),
    "Acrobot-v1": Task(500_000, _NETWORK, Figure(-82.884, 23.825, "500k", "Acrobot-v1"), n_seeds=5),
    "MountainCar-v0": Task(500_000, _NETWORK | {"n_delta": 8}, Figure(-122.0, 33.456, "500k", "MountainCar-v0"), n_seeds=5),
    "MountainCarContinuous-v0": Task(
        500_000, _NETWORK | {"delta_std": 0.2}, Figure(96.672, 0.784, "500k", "MountainCarContinuous-v0"), n_seeds=5
    ),
    "Pendulum-v1": Task(2_000_000, _NETWORK, Figure(-212.54, 160.444, "2M", "Pendulum-v1")),
    "LunarLanderContinuous-v3": Task(2_000_000, _NETWORK, Figure(167.959, 147.071, "2M", "LunarLanderContinuous-v2")),
    "Swimmer-v4": Task(2_000_000, _linear(0.02, 0.01, 1, 1, 0.0), Figure(355.267, 12.796, "2M", "Swimmer-v3"), normalize=False),
    "Hopper-v4": Task(7_000_000, _linear(0.01, 0.025, 8, 4, -1.0), Figure(3343.919, 5.73, "7M", "Hopper-v3")),
    "HalfCheetah-v4": Task(12_500_000, _linear(0.02, 0.03, 32, 4, 0.0), Figure(4815.192, 1340.752, "12M", "HalfCheetah-v3")),
    "Walker2d-v4": Task(75_000_000, _linear(0.03, 0.025, 40, 30, -1.0), Figure(2993.582, 166.289, "75M", "Walker2d-v3")),
    "Ant-v4": Task(75_000_000, _linear(0.015, 0.025, 60, 20, -1.0), Figure(2333.773, 20.597, "75M", "Ant-v3")),
}
MUJOCO = tuple(env_id for env_id in TASKS if env_id.endswith("-v4"))

# Arguments of PPO for HalfCheetah-v4, in a VecNormalize of observations and rewards; "activation_fn" is a name of torch.nn.
PPO_SETTINGS = {
    "batch_size": 64,
    "n_steps": 512,
    "gamma": 0.98,
    "learning_rate": 2.0633e-05,
    "ent_coef": 0.000401762,
    "clip_range": 0.1,
    "n_epochs": 20,
    "gae_lambda": 0.92,
    "max_grad_norm": 0.8,
    "vf_coef": 0.58096,
    "policy_kwargs": {
        "log_std_init": -2,
        "ortho_init": False,
        "activation_fn": "ReLU",
        "net_arch": {"pi": [256, 256], "vf": [256, 256]},
    },
}
CURVE = (
    1 / 64,
    1 / 32,
    1 / 16,
    1 / 8,
    1 / 4,
    3 / 8,
    1 / 2,
    5 / 8,
    3 / 4,
    7 / 8,
    1,
)  # parts of the steps after which a run is evaluated


class Row(NamedTuple):
    """A task that one package trains, on one thread, for the steps of rl-zoo."""

    env_id: str
    side: str  # THEIRS, OURS or LANES

    @property
    def threads(self) -> int:
        """Threads of a run."""
        return 1

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.env_id}_{self.side}"

    @property
    def task(self) -> Task:
        """Settings and steps."""
        return TASKS[self.env_id]

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of the trainer."""
        return self.task.settings

    @property
    def normalize(self) -> bool:
        """True if observations are normalised."""
        return self.task.normalize

    @property
    def described(self) -> dict[str, Any]:
        """Beginning of its file."""
        return {
            "table": "beside",
            "env": self.env_id,
            "side": self.side,
            "settings": self.settings,
            "normalize": self.normalize,
            "marks": self.marks,
        }

    @property
    def marks(self) -> list[int]:
        """Steps after which it is evaluated."""
        return [round(part * self.task.steps) for part in CURVE]

    def place(self, seed: int) -> int:
        """Return the place of a seed in the file."""
        return seed


class AloneRow(NamedTuple):
    """A line of the plot of wall time: HalfCheetah on two CPUs, with nothing else on the machine."""

    side: str  # THEIRS, OURS, LANES or PPO
    env_id: str = "HalfCheetah-v4"

    @property
    def threads(self) -> int:
        """Threads, or processes that evaluate candidates."""
        return 2

    @property
    def normalize(self) -> bool:
        """True: observations are normalised."""
        return True

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.env_id}_{self.side}"

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of the trainer."""
        return PPO_SETTINGS if self.side == PPO else TASKS[self.env_id].settings

    @property
    def described(self) -> dict[str, Any]:
        """Beginning of its file."""
        return {"table": "beside_alone", "env": self.env_id, "side": self.side, "settings": self.settings}

    def place(self, seed: int) -> int:
        """Return the place of a seed in the file."""
        return seed


def sides(env_id: str) -> tuple[str, ...]:
    """Return the packages that train a task; in MuJoCo fastars has two physics."""
    return (THEIRS, OURS, LANES) if env_id in MUJOCO else (THEIRS, OURS)


def all_rows() -> list[Row]:
    """Return all rows."""
    return [Row(env_id, side) for env_id in TASKS for side in sides(env_id)]


ALONE = tuple(AloneRow(side) for side in (LANES, OURS, THEIRS, PPO))
_LONG = ("Walker2d-v4", "Ant-v4")


def plan() -> list[tuple[Row, int]]:
    """Return rows and seeds in the order in which they run: long runs last, all packages with a seed before the next seed."""
    short = [env_id for env_id in TASKS if env_id not in _LONG]
    groups = [
        *([Row(env_id, side) for side in sides(env_id)] for env_id in short[:5]),
        [Row(env_id, side) for env_id in short[5:] for side in (LANES, OURS) if side in sides(env_id)],
        *([Row(env_id, THEIRS)] for env_id in short[5:]),
        *([Row(env_id, side)] for side in (LANES, OURS, THEIRS) for env_id in _LONG),
    ]
    most = [max(row.task.n_seeds for row in group) for group in groups]
    return [(row, seed) for group, n_seeds in zip(groups, most, strict=True) for seed in range(n_seeds) for row in group]

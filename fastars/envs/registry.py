"""The table of compiled environments: a Gymnasium id, the module that compiles it, and the name of its class there.

Nothing is imported before it is used: `compiled_env_ids` needs neither Numba nor Gymnasium.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fastars._validate import one_of, user_facing

if TYPE_CHECKING:
    from fastars.envs.compiled import CompiledEnv

FAMILIES = ("classic", "mujoco", "multi", "user")
USER_ENVS: dict[str, CompiledEnv] = {}  # the environments that `register_env` made, by id
ENTRY_POINTS = "gymnasium.envs.", "mo_gymnasium.envs.", "fastars.envs.multi."  # of the environments that are compiled


class Compiled(NamedTuple):
    """Home of a compiled environment."""

    family: str  # the package in `fastars.envs`
    module: str  # in that package
    name: str  # of the NamedTuple of constants; of the Gymnasium environment, for the family "multi"

    @property
    def path(self) -> str:
        """Full name of the module."""
        return f"{__package__}.{self.family}.{self.module}"


class MultiEnvEntry(NamedTuple):
    """An environment with vector rewards, as Gymnasium registers it. Nothing is imported for that."""

    home: Compiled
    max_episode_steps: int
    kwargs: dict[str, Any]


_PENDULUM = Compiled("multi", "pendulum", "PendulumEnv")
_CAR = Compiled("multi", "mountain_car", "MountainCarEnv")
_CONTINUOUS_CAR = Compiled("multi", "mountain_car_continuous", "MountainCarContinuousEnv")
_SEA = Compiled("multi", "deep_sea_treasure", "DeepSeaTreasureEnv")
_RESERVOIR = Compiled("multi", "water_reservoir", "WaterReservoirEnv")
# The ids of mo-gymnasium 1.3.2 with their arguments and time limits; the pendulum is our own.
MULTI = {
    "fastars/deep-sea-treasure-concave-v0": MultiEnvEntry(_SEA, 100, {"dst_map": "concave"}),
    "fastars/deep-sea-treasure-mirrored-v0": MultiEnvEntry(_SEA, 100, {"dst_map": "mirrored"}),
    "fastars/deep-sea-treasure-v0": MultiEnvEntry(_SEA, 100, {}),
    "fastars/mo-mountaincar-3d-v0": MultiEnvEntry(_CAR, 200, {"add_speed_objective": True, "merge_move_penalty": True}),
    "fastars/mo-mountaincar-timemove-v0": MultiEnvEntry(_CAR, 200, {"merge_move_penalty": True}),
    "fastars/mo-mountaincar-timespeed-v0": MultiEnvEntry(_CAR, 200, {"remove_move_penalty": True, "add_speed_objective": True}),
    "fastars/mo-mountaincar-v0": MultiEnvEntry(_CAR, 200, {}),
    "fastars/mo-mountaincarcontinuous-v0": MultiEnvEntry(_CONTINUOUS_CAR, 999, {}),
    "fastars/mo-pendulum-v0": MultiEnvEntry(_PENDULUM, 200, {}),
    "fastars/water-reservoir-v0": MultiEnvEntry(_RESERVOIR, 100, {}),
}
_MUJOCO = {
    "Ant": "ant",
    "HalfCheetah": "half_cheetah",
    "Hopper": "hopper",
    "Humanoid": "humanoid",
    "HumanoidStandup": "humanoid_standup",
    "InvertedDoublePendulum": "inverted_double_pendulum",
    "InvertedPendulum": "inverted_pendulum",
    "Pusher": "pusher",
    "Reacher": "reacher",
    "Swimmer": "swimmer",
    "Walker2d": "walker2d",
}
COMPILED = {
    "Acrobot-v1": Compiled("classic", "acrobot", "Acrobot"),
    "CartPole-v0": Compiled("classic", "cartpole", "CartPole"),
    "CartPole-v1": Compiled("classic", "cartpole", "CartPole"),
    "MountainCar-v0": Compiled("classic", "mountain_car", "MountainCar"),
    "MountainCarContinuous-v0": Compiled("classic", "mountain_car_continuous", "MountainCarContinuous"),
    "Pendulum-v1": Compiled("classic", "pendulum", "Pendulum"),
    # Gymnasium makes Pusher-v4 with mujoco 2 only.
    **{
        f"{name}-v{version}": Compiled("mujoco", module, name)
        for name, module in _MUJOCO.items()
        for version in (4, 5)
        if (name, version) != ("Pusher", 4)
    },
    **{env_id: entry.home for env_id, entry in MULTI.items()},
}


@user_facing
def compiled_env_ids(family: str | None = None) -> list[str]:
    """Return the ids of the environments that run in compiled kernels, sorted.

    Parameters
    ----------
    family : {"classic", "mujoco", "multi", "user"}, optional
        Default: all. The family "mujoco" needs `fastars[mujoco]`, "multi" has vector rewards, "user" is what `register_env` made.

    Raises
    ------
    ValueError
        If there is no such family.
    """
    if family is not None:
        one_of("family", family, FAMILIES)
    user = USER_ENVS if family in (None, "user") else ()
    return sorted([*user, *(env_id for env_id, home in COMPILED.items() if family in (None, home.family))])


def compiled_id(env_id: str) -> str:
    """Return the id of the compiled form of an environment: mo-gymnasium's ids get the prefix `fastars/`, others do not change."""
    return f"fastars/{env_id}" if f"fastars/{env_id}" in MULTI else env_id


def is_mujoco(env_id: Any) -> bool:
    """True if the id belongs to one of Gymnasium's MuJoCo environments that are compiled."""
    home = COMPILED.get(str(env_id))
    return home is not None and home.family == "mujoco"

"""Environments with vector rewards, one file each: those of mo-gymnasium, which need not be installed, and a pendulum.

Each file has the NamedTuple of constants that picks the compiled functions, and the Gymnasium environment that steps them one call
at a time (`base`). In Gymnasium their ids begin with `fastars/`, as mo-gymnasium registers its own without.
"""

from typing import Any, NamedTuple


class Registered(NamedTuple):
    """What stands behind an id. Gymnasium learns it without anything being imported."""

    module: str
    name: str  # of the Gymnasium environment
    max_episode_steps: int
    kwargs: dict[str, Any]


_PENDULUM = "fastars.envs.multi.pendulum", "PendulumEnv"
_CAR = "fastars.envs.multi.mountain_car", "MountainCarEnv"
_CONTINUOUS = "fastars.envs.multi.mountain_car_continuous", "MountainCarContinuousEnv"
_SEA = "fastars.envs.multi.deep_sea_treasure", "DeepSeaTreasureEnv"
_RESERVOIR = "fastars.envs.multi.water_reservoir", "WaterReservoirEnv"
# The ids of mo-gymnasium 1.3.2 with their arguments and time limits; the pendulum is our own.
REGISTERED = {
    "fastars/deep-sea-treasure-concave-v0": Registered(*_SEA, 100, {"dst_map": "concave"}),
    "fastars/deep-sea-treasure-mirrored-v0": Registered(*_SEA, 100, {"dst_map": "mirrored"}),
    "fastars/deep-sea-treasure-v0": Registered(*_SEA, 100, {}),
    "fastars/mo-mountaincar-3d-v0": Registered(*_CAR, 200, {"add_speed_objective": True, "merge_move_penalty": True}),
    "fastars/mo-mountaincar-timemove-v0": Registered(*_CAR, 200, {"merge_move_penalty": True}),
    "fastars/mo-mountaincar-timespeed-v0": Registered(*_CAR, 200, {"remove_move_penalty": True, "add_speed_objective": True}),
    "fastars/mo-mountaincar-v0": Registered(*_CAR, 200, {}),
    "fastars/mo-mountaincarcontinuous-v0": Registered(*_CONTINUOUS, 999, {}),
    "fastars/mo-pendulum-v0": Registered(*_PENDULUM, 200, {}),
    "fastars/water-reservoir-v0": Registered(*_RESERVOIR, 100, {}),
}

"""mo-mountaincar-v0, exact to mo-gymnasium's `MOMountainCar`: MountainCar-v0 with rewards for time, moves and speed.

Its variants -3d, -timemove and -timespeed are the same with other arguments.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Discrete

from fastars._compiled.jit import inline
from fastars._compiled.protocol import register_functions
from fastars._compiled.tuples import leading
from fastars._validate import boolean, number
from fastars.envs.classic import mountain_car
from fastars.envs.multi.base import MultiEnv, box32


class MultiMountainCar(NamedTuple):
    """Constants of mo-mountaincar. Values in the tuples are ignored: their lengths select the specialization."""

    goal_velocity: float = 0.0  # least speed at the goal, per step
    penalties: tuple[float, ...] = (0.0, 0.0)  # of moves: for backward and forward, or one for both, or none
    speeds: tuple[float, ...] = ()  # one entry, if the reward has one for speed


class MountainCarEnv(MultiEnv):
    """A car between two hills, with the arguments of mo-gymnasium.

    Parameters
    ----------
    add_speed_objective : bool
        Add a reward for speed, as the last entry.
    remove_move_penalty : bool
        Moves cost nothing.
    merge_move_penalty : bool
        One entry for all moves, in place of one for each direction.
    goal_velocity : float
        Least speed at the goal, per step.
    """

    def __init__(
        self,
        render_mode: str | None = None,
        add_speed_objective: bool = False,
        remove_move_penalty: bool = False,
        merge_move_penalty: bool = False,
        goal_velocity: float = 0.0,
    ) -> None:
        kwargs: dict[str, Any] = {
            "add_speed_objective": boolean("add_speed_objective", add_speed_objective),
            "remove_move_penalty": boolean("remove_move_penalty", remove_move_penalty),
            "merge_move_penalty": boolean("merge_move_penalty", merge_move_penalty),
            "goal_velocity": number("goal_velocity", goal_velocity),
        }
        moves = () if remove_move_penalty else ("move",) if merge_move_penalty else ("reverse", "forward")
        speeds = ("speed",) if add_speed_objective else ()
        low = [-1.0] * (1 + len(moves)) + [0.0] * len(speeds)
        high = [-1.0] + [0.0] * len(moves) + [1.1] * len(speeds)
        speed = mountain_car.MAX_SPEED
        super().__init__(
            MultiMountainCar(kwargs["goal_velocity"], (0.0,) * len(moves), (0.0,) * len(speeds)),
            kwargs,
            box32([mountain_car.MIN_POSITION, -speed], [mountain_car.MAX_POSITION, speed]),
            Discrete(3),
            box32(low, high),  # mo-gymnasium's, though the last step costs no time
            ("time", *moves, *speeds),
            render_mode=render_mode,
        )


@inline
def step(env: Any, state: Any, action: Any) -> Any:
    after, terminated = mountain_car.move(env, state, action)
    time = 0.0 if terminated else -1.0
    reverse = -1.0 if action == 0 else 0.0
    forward = -1.0 if action == 2 else 0.0
    move = reverse + forward if len(env.penalties) == 1 else reverse
    speed = np.float64(np.float32(15.0 * abs(after[1])))  # rewards are float32
    return after, (time, *leading((move, forward), env.penalties), *leading((speed,), env.speeds)), terminated


register_functions(MultiMountainCar, mountain_car.reset, mountain_car.observe, step)

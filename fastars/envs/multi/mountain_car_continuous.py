"""mo-mountaincarcontinuous-v0, exact to mo-gymnasium's `MOContinuousMountainCar`: MountainCarContinuous-v0 for time and fuel."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.jit import inline
from fastars._compiled.protocol import register_functions
from fastars._validate import number
from fastars.envs.classic import mountain_car_continuous
from fastars.envs.multi.base import MultiEnv, box32


class MultiMountainCarContinuous(NamedTuple):
    """Constants of mo-mountaincarcontinuous."""

    goal_velocity: float = 0.0  # least speed at the goal, per step


class MountainCarContinuousEnv(MultiEnv):
    """A car between two hills, whose engine pushes with any force between two bounds.

    Parameters
    ----------
    goal_velocity : float
        Least speed at the goal, per step.
    """

    def __init__(self, render_mode: str | None = None, goal_velocity: float = 0.0) -> None:
        goal_velocity = number("goal_velocity", goal_velocity)
        speed = mountain_car_continuous.MAX_SPEED
        super().__init__(
            MultiMountainCarContinuous(goal_velocity),
            {"goal_velocity": goal_velocity},
            box32([mountain_car_continuous.MIN_POSITION, -speed], [mountain_car_continuous.MAX_POSITION, speed]),
            box32([-1.0], [1.0]),
            box32([-1.0, -1.0], [0.0, 0.0]),
            ("time", "fuel"),
            render_mode=render_mode,
        )


@inline
def step(env: Any, state: Any, action: Any) -> Any:
    after, terminated = mountain_car_continuous.move(env, state, action)
    force = np.float64(action[0])  # the force in the action: beyond the bounds it costs more, and pushes no harder
    fuel = -np.float64(np.float32(force * force))
    return after, (0.0 if terminated else -1.0, fuel), terminated


register_functions(MultiMountainCarContinuous, mountain_car_continuous.reset, mountain_car_continuous.observe, step)

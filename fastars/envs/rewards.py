"""Spaces and names of vector rewards, the same for every kind of environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from gymnasium.spaces import Box


def unbounded_rewards(n_tasks: int) -> Box:
    """Return a Box of float64, shape (n_tasks,), without bounds."""
    from gymnasium.spaces import Box

    return Box(-np.inf, np.inf, (n_tasks,), np.float64)


def checked_task_names(names: Any, n_tasks: int) -> tuple[str, ...]:
    """Return the names of n tasks; None gives "reward_0" and so on.

    Raises
    ------
    ValueError
        If there are not `n_tasks` names, or they are not different texts.
    """
    if names is None:
        return tuple(f"reward_{i}" for i in range(n_tasks))
    given = (names,) if isinstance(names, str) else tuple(names)
    if len(set(given)) != n_tasks or len(given) != n_tasks or not all(isinstance(name, str) and name for name in given):
        raise ValueError(f"task_names must be {n_tasks} different names, one for each reward, got {names!r}")
    return given

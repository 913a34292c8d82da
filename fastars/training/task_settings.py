"""Read how the tasks of a vector reward are weighted from the arguments of `ARS`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._validate import did_you_mean
from fastars.training.config import Config
from fastars.training.objectives import Objectives, copied_method, new_objectives


def weighting_settings(env: Any, weighting: Any, kwargs: Mapping[str, Any] | None, preference: Any, utopia: Any) -> dict[str, Any]:
    """Return the fields of `Config` for the weighting of the tasks of an environment.

    Raises
    ------
    ValueError
        If the reward of the environment is a scalar and one of the arguments is given, or for an unknown method.
    TypeError
        If `weighting` is neither a name, a method nor a function.
    """
    from fastars.weighting import METHODS, GradNorm, Method

    if env.n_tasks == 0:
        given = {"weighting": weighting, "weighting_kwargs": kwargs, "preference": preference, "utopia": utopia}
        for name, value in given.items():
            if value is not None and not (name == "weighting_kwargs" and not kwargs):
                raise ValueError(f"{name} needs a vector reward; the reward of {env.id} is a scalar, got {value!r}")
        return {}
    # With alpha = 0 GradNorm needs no losses. Returns give losses only where the best possible return is known.
    default: dict[str, Any] = {"alpha": 0.0} if weighting == "gradnorm" else {}
    if isinstance(weighting, Method):
        name, kwargs = weighting.name if weighting.name in METHODS else "custom", weighting.arguments()
        default = {"alpha": weighting.alpha} if isinstance(weighting, GradNorm) else {}
    elif isinstance(weighting, str) or weighting is None:
        name = weighting or "fixed"
        if name not in METHODS:
            near = did_you_mean(name, METHODS)
            raise ValueError(f"weighting must be one of {', '.join(METHODS)}, a method or a function, got {weighting!r}{near}")
    elif callable(weighting) and not isinstance(weighting, type):
        name = "custom"
    else:
        raise TypeError(f"weighting must be a name, a method of fastars.weighting or a function, got {weighting!r}")
    kwargs = {**default, **(kwargs or {})}
    # The offset of a preset takes a bonus out of a scalar reward. Here the bonus is a task, or a part of one, and has a weight.
    fields = {"weighting": name, "weighting_kwargs": kwargs, "preference": preference, "utopia": utopia}
    return {**fields, "alive_bonus_offset": 0.0}


def make_objectives(env: Any, weighting: Any, config: Config) -> Objectives | None:
    """Return the objectives before the first iteration; None where the reward is a scalar."""
    from fastars.weighting import make_method

    if config.weighting is None:
        return None
    if isinstance(weighting, str) or weighting is None:
        method = make_method(config.weighting, env.n_tasks, env.task_names, **config.weighting_kwargs)
    else:
        method = make_method(copied_method(weighting), env.n_tasks, env.task_names)
        method.reset()  # a copy that starts anew: two models do not share a method
    return new_objectives(method, env.task_names, config.preference, config.utopia, _highest_returns(env))


def _highest_returns(env: Any) -> FloatArray:
    """Return the highest possible return of each task: 0 or less for a reward that is never positive, otherwise infinity.

    A positive bound of a reward does not bound the return: some rewards come at every step, others once in an episode.
    """
    high = np.array(env.reward_space.high, np.float64)
    return np.where(high > 0.0, math.inf, high)

"""Turn the returns that a user tells into the results of an iteration."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastars._compiled.structs import Rollouts, empty_rollouts
from fastars.training.objectives import Objectives
from fastars.training.run import Run

_ALONE = "tell(returns) takes the returns alone, in the order of the candidates. More is better: give -fitness where less is better"


def refuse_candidates(n_steps: Any) -> None:
    """Raise for `tell(candidates, returns)`, as packages for CMA-ES have it: the second argument is a number of steps here."""
    is_count = isinstance(n_steps, (int, float, np.integer, np.floating)) and float(n_steps).is_integer()
    if not is_count:
        raise TypeError(f"n_steps must be a number of environment steps, got {_shown(n_steps)}; {_ALONE}")


def told_rollouts(run: Run, tasks: Objectives | None, returns: Any) -> Rollouts:
    """Return the results of an iteration whose candidates had these returns.

    Raises
    ------
    TypeError
        If they are no numbers.
    ValueError
        If they are not one for each candidate, or for each candidate and task.
    """
    n_candidates = 2 * run.config.n_delta
    try:
        values = np.array(returns, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"returns must be numbers, got {_shown(returns)}; {_ALONE}") from None
    rollouts = empty_rollouts(n_candidates, run.env.n_obs, False)
    if tasks is None:
        if values.size != n_candidates:
            hint = f"; {_ALONE}" if values.shape == (n_candidates, run.n_weights) else ""
            raise ValueError(f"returns must have {n_candidates} entries, got {values.size}{hint}")
        return rollouts._replace(returns=values.ravel())
    if values.shape != (n_candidates, tasks.n_tasks):
        raise ValueError(f"returns must have shape ({n_candidates}, {tasks.n_tasks}), got {values.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        return rollouts._replace(returns=values @ tasks.weights, task_returns=values)


def _shown(value: Any) -> str:
    """Return the beginning of a value's text, in one line."""
    return " ".join(str(value)[:200].split())[:80]

"""When a run reaches its threshold: at an evaluation, and at a second one of 100 fresh episodes."""

from collections.abc import Iterable, Mapping
from typing import Any


def crossing(curve: Iterable[tuple[int, int, float]], confirmed: Mapping[int, float], threshold: float) -> dict[str, Any] | None:
    """Return the first evaluation at which the threshold is reached, or None.

    Parameters
    ----------
    curve : iterable of (iteration, steps, mean)
        Evaluations in their order.
    confirmed : dict
        By iteration, the mean of the 100 episodes that followed an evaluation at or above the threshold.
    threshold : float
        Both means have to reach it.
    """
    for iteration, steps, mean in curve:
        again = confirmed.get(iteration)
        if mean >= threshold and again is not None and again >= threshold:
            return {"iteration": iteration, "steps": steps, "mean": again}
    return None

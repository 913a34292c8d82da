"""Weights of the tasks of a vector reward, and the state from which the next weights follow.

The weights of an iteration are known before its rollouts, as in GradNorm's Algorithm 1, whatever the method: episodes add up the
weighted reward step by step, and pairs are selected by it. The returns of an iteration change the weights of the next one.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._validate import MOST_INT64, integer
from fastars.training.evidence import DECAY, Averages, Evidence, count_quiet, floored_gram, lost_tasks, no_averages

if TYPE_CHECKING:
    from fastars.weighting import Method

_WARMUP = 5  # iterations in which the averages fill, and all tasks weigh the same
_SMALLEST_RATIO, _LARGEST_RATIO = 1e-3, 10.0  # of a regret to its first value

_LOG = logging.getLogger("fastars")


@dataclass(frozen=True, eq=False)
class Objectives:
    """The tasks of a run between two iterations, as an immutable value; `after` returns the next one.

    Attributes
    ----------
    names : tuple of str
        Names of the T tasks.
    method : Method
        From `fastars.weighting`, in the state before the next iteration.
    utility : ndarray of float64, shape (T,)
        Weights by which policies are compared, constant during a run: the preference of the user, or ones.
    weights : ndarray of float64, shape (T,)
        Weights in the next rollouts. Their mean absolute value is 1, except with the method "fixed".
    masked : ndarray of bool, shape (T,)
        Tasks whose gradient can't be told from noise, where the method uses gradients. They keep their weight, or get an equal
        share if that is less, and do not count for the weights of the other tasks.
    losses : ndarray of float64, shape (T,)
        Regrets after the last iteration; NaN before the first.
    averages : Averages
        What the iterations so far have shown.
    allowed : ndarray of bool, shape (T,)
        The mask of the method before the first iteration.
    utopia : ndarray of float64, shape (T,), or None
        A return of each task that can't be surpassed. Losses are the regrets, utopia - J. Default: `highest` where it is finite,
        otherwise 10 % above the best return so far.
    highest : ndarray of float64, shape (T,)
        The highest return that the reward space allows, infinite where it tells none.
    """

    names: tuple[str, ...]
    method: Method
    utility: FloatArray
    weights: FloatArray
    masked: np.ndarray
    losses: FloatArray
    averages: Averages
    allowed: np.ndarray
    utopia: FloatArray | None
    highest: FloatArray

    @property
    def n_tasks(self) -> int:
        """T."""
        return len(self.names)

    @property
    def is_fixed(self) -> bool:
        """True if the weights stay the same during the run."""
        return self.method.name == "fixed"

    # --- One iteration

    def after(self, evidence: Evidence) -> Objectives:
        """Return the objectives for the next iteration. Returns whose squares or sums overflow change nothing."""
        if not evidence.is_finite:
            return self
        averages = self.averages.after(evidence)
        if self.averages.n_updates == 0:
            scale = np.maximum(self._goal(averages) - averages.first, evidence.stds)
            averages = averages._replace(scale=scale)
        if not averages.is_finite:
            return self
        averages = averages._replace(quiet=count_quiet(averages, evidence))
        masked = lost_tasks(averages, self.masked) & self._uses_gradients
        learned = dataclasses.replace(self, averages=averages, masked=masked)
        losses = learned._regrets()
        takes_part = self.allowed & ~masked
        method, weights = self.method, self.weights
        if averages.n_updates > _WARMUP and takes_part.any():
            method = learned._stepped(evidence, losses, takes_part)
            weights = self._applied(method.weights, takes_part)
        self._log_changes(masked)
        return dataclasses.replace(learned, method=method, weights=weights, losses=losses)

    def _stepped(self, evidence: Evidence, losses: FloatArray, takes_part: np.ndarray) -> Method:
        """Return the method after a step on the averages. `self.method` is not touched, so an exception of it loses nothing."""
        averages, method = self.averages, copied_method(self.method)
        needs, total = method.needs, averages.total
        if method.name == "custom":
            losses = averages.returns / total
        if not np.array_equal(method.mask, takes_part):
            method.mask = takes_part
        method.step(
            losses,
            gram=floored_gram(averages, evidence) if "gram" in needs or "norms" in needs else None,
            stds=averages.stds / total if "stds" in needs else None,
        )
        return method

    @property
    def _uses_gradients(self) -> bool:
        return bool({"norms", "gram", "stds"}.intersection(self.method.needs))

    def _goal(self, averages: Averages) -> FloatArray:
        """Return the return of each task from which regret is measured."""
        if self.utopia is not None:
            return self.utopia
        first, best = averages.first, averages.best
        return np.where(np.isfinite(self.highest), self.highest, best + 0.1 * (best - first))

    def _regrets(self) -> FloatArray:
        """Return regrets between 1e-3 and 10 times the first one: positive, as logarithms and ratios need them."""
        averages = self.averages
        mean = averages.returns * (1.0 - DECAY) / (1.0 - DECAY**averages.n_updates)
        scale = np.where(averages.scale > 0.0, averages.scale, 1.0)
        # Not `np.clip`, which takes twice as long.
        return np.minimum(np.maximum(self._goal(averages) - mean, _SMALLEST_RATIO * scale), _LARGEST_RATIO * scale)

    def _applied(self, weights: FloatArray, takes_part: np.ndarray) -> FloatArray:
        """Return weights times the preference, with mean absolute value 1; the present weights if every product is zero.

        Masked tasks keep their weight, up to an equal share: some methods have no common scale with the weights before, and a
        task that turned out to be noise must not keep most of the weight.
        """
        if self.is_fixed:
            return self.utility.copy()
        product = weights * self.utility
        size = float(np.abs(product[takes_part]).sum())
        if not 0.0 < size < math.inf:
            return self.weights
        share = np.abs(self.utility) / np.abs(self.utility).mean()
        held = np.where(takes_part, 0.0, np.clip(self.weights, -share, share))
        return np.where(takes_part, product * ((self.n_tasks - np.abs(held).sum()) / size), held)

    def _log_changes(self, masked: np.ndarray) -> None:
        for name, before, after in zip(self.names, self.masked.tolist(), masked.tolist(), strict=True):
            if after and not before:
                _LOG.info("task %r takes no part in the balancing: its gradient can't be told from noise", name)
            if before and not after:
                _LOG.info("task %r takes part in the balancing again", name)

    def rows(self) -> dict[str, float]:
        """Return rows of the log for each task: loss, inverse training rate r_i (large is slow), and 1 if it is masked."""
        scale = self.averages.scale
        ratios = self.losses / np.where(scale > 0.0, scale, 1.0)
        rates = ratios / ratios.mean()
        rows: dict[str, float] = {}
        for name, *values in zip(self.names, self.losses, rates, self.masked, strict=True):
            rows |= {f"tasks/{name}/{key}": float(value) for key, value in zip(("loss", "rate", "masked"), values, strict=True)}
        return rows

    # --- Files

    def state_dict(self) -> dict[str, Any]:
        """Return all that a run needs to go on: numbers and arrays, and the state of the method under "method"."""
        arrays = {"masked": self.masked, "weights": self.weights, "losses": self.losses}
        return {**self.averages._asdict(), **arrays, "method": self.method.state_dict()}

    def restored(self, state: Mapping[str, Any]) -> Objectives:
        """Return objectives that go on from a `state_dict`. Another method than the stored one starts anew, on the same averages.

        Raises
        ------
        ValueError, TypeError
            If the state has another number of tasks, or a number that no run reaches.
        """
        averages = {name: _restored(name, state[name], value) for name, value in self.averages._asdict().items()}
        if (averages["quiet"] > averages["n_updates"]).any():
            raise ValueError(f"quiet must be at most n_updates, got {averages['quiet'].tolist()}")
        for name in ("quiet", "scale", "stds", "raw", "noise"):
            if (averages[name] < 0).any():
                raise ValueError(f"{name} must be at least 0, got {averages[name].tolist()}")
        arrays = {name: _restored(name, state[name], getattr(self, name)) for name in ("masked", "weights", "losses")}
        method = copied_method(self.method)
        if state["method"]["method"] == method.name:
            method.load_state_dict(state["method"])
        return dataclasses.replace(self, averages=Averages(**averages), method=method, **arrays)


def copied_method(method: Method) -> Method:
    """Return a copy of a method. A class of the user's may write into its own containers; the methods of fastars never do."""
    is_ours = type(method).__module__.partition(".")[0] == __name__.partition(".")[0]
    return copy.copy(method) if is_ours else copy.deepcopy(method)


def _restored(name: str, value: Any, present: Any) -> Any:
    """Return a value of a saved state, checked against the present one of the same name."""
    if isinstance(present, int):
        return integer(name, value, 0, MOST_INT64)
    array = np.asarray(value)
    if array.shape != present.shape:
        raise ValueError(f"{name} must have shape {present.shape}, got {array.shape}")
    if array.dtype != present.dtype:
        raise ValueError(f"{name} must be {present.dtype}, got {array.dtype}")
    bad = np.isinf(array) if name == "losses" else ~np.isfinite(array)  # the losses before the first iteration are NaN
    if bad.any():
        raise ValueError(f"{name} must be finite, got {array.tolist()}")
    return array


def new_objectives(
    method: Method,
    names: Sequence[str],
    preference: Sequence[float] | None = None,
    utopia: Sequence[float] | None = None,
    highest: Sequence[float] | FloatArray | None = None,
) -> Objectives:
    """Return the objectives before the first iteration.

    Parameters
    ----------
    method : Method
        From `fastars.weighting`.
    names : sequence of str
        Names of the T tasks.
    preference : sequence of float, optional
        Worth of each task to the user, at least 0. The weights of the method are multiplied by it, as balancing takes away the
        scales of the rewards. With the method "fixed" these are the weights, of any sign.
    utopia, highest : sequence of float, optional
        See `Objectives`.

    Raises
    ------
    ValueError
        If `preference` or `utopia` does not fit the tasks.
    """
    n_tasks, is_fixed = len(names), method.name == "fixed"
    utility = np.ones(n_tasks) if preference is None else _per_task("preference", preference, names)
    if not utility.any() or (not is_fixed and (utility < 0.0).any()):
        allowed = "an entry other than 0" if is_fixed else "no entry below 0 and one above"
        raise ValueError(f"preference must have {allowed}, got {utility.tolist()}")
    if is_fixed:
        utility = utility * method.weights
    return Objectives(
        names=tuple(names),
        method=method,
        utility=utility,
        weights=utility.copy() if is_fixed else _mean_one(utility),
        masked=np.zeros(n_tasks, np.bool_),
        losses=np.full(n_tasks, math.nan),
        averages=no_averages(n_tasks),
        allowed=np.array(method.mask, np.bool_),
        utopia=None if utopia is None else _per_task("utopia", utopia, names),
        highest=np.full(n_tasks, math.inf) if highest is None else np.asarray(highest, np.float64),
    )


def _mean_one(utility: FloatArray) -> FloatArray:
    """Return the utility scaled to a mean absolute value of 1."""
    size = float(np.abs(utility).sum())
    if not 0.0 < size < math.inf:  # the sum overflowed
        return utility / np.abs(utility).mean()
    return utility * (len(utility) / size)


def _per_task(name: str, values: Sequence[float], tasks: Sequence[str]) -> FloatArray:
    """Return a finite number for each task."""
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers, got {values!r}") from None
    if array.shape != (len(tasks),) or not np.isfinite(array).all():
        raise ValueError(
            f"{name} must have a finite number for each of the {len(tasks)} tasks ({', '.join(tasks)}), got {values!r}"
        )
    return array

"""The tasks of a vector reward in ARS: what each iteration tells of them, and how much each will count in the next.

The weights of an iteration are known before its rollouts, as in GradNorm's Algorithm 1, whatever the method: episodes add up the
weighted reward step by step, and pairs are selected by it. What the returns say about the tasks changes the weights of the next.

Symbols: T tasks, N directions, d weights of the policy; J_i the mean return of task i, g_i the estimate of its gradient, and M the
Gram matrix of these without the bias that N random directions in d dimensions bring (`kernels.debiased_gram`).
"""

from __future__ import annotations

import contextlib
import copy
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray

if TYPE_CHECKING:
    from fastars.weighting import Method

# All of them in iterations: the memory of the averages is 1 / (1 - decay).
_DECAY = 0.9  # of returns and Gram matrices: one matrix alone is mostly noise where d is far above N
_LONG_DECAY = 0.95  # of the evidence that a task has a gradient at all
_WARMUP = 5  # in which the averages fill, and all tasks weigh the same
_PATIENCE = 20  # before a task whose gradient can't be told from noise is left out

# How many deviations of pure noise the gradient's square is above zero: below the first a task is lost, above the second it is back
# (two, so that it does not come and go). A linear return without noise has 6 at N = 8, d = 10, and 0.5 at N = 8, d = 4,500. Where
# it would have less than the third, nothing can be told, and no task is lost for its noise. If tasks had to be found first, noise
# would never get a weight, but weak tasks were found late: the camera of the rover in `examples/experiments` then is 0.019 rad off
# instead of 0.012.
_LOST, _FOUND, _POWER = 1.0, 2.0, 5.0

_SMALLEST_RATIO, _LARGEST_RATIO = 1e-3, 10.0  # of a regret to its first value

_LOG = logging.getLogger("fastars")


class Evidence(NamedTuple):
    """What the finite pairs of an iteration say about the tasks."""

    returns: FloatArray  # (T,), means
    stds: FloatArray  # (T,), deviations of the returns
    gram: FloatArray  # (T, T), of the estimated gradients
    debiased: FloatArray  # (T, T), M; the same as `gram` for a single pair
    n_directions: int
    n_weights: int


class Objectives:
    """How much each task counts, from iteration to iteration.

    Parameters
    ----------
    method : Method
        Of `fastars.weighting`.
    names : sequence of str
        Of the T tasks.
    preference : sequence of float, optional
        What the tasks are worth to the user, at least 0: the method's weights are multiplied by it, for balancing takes away the
        scales that the rewards came with. With the method "fixed" these are the weights, of any sign.
    utopia : sequence of float, optional
        A return of each task that can't be surpassed. Losses are the regrets, utopia - J. Default: `highest` where it is finite,
        otherwise 10 % above the best return so far.
    highest : sequence of float, optional
        What the reward space allows.

    Attributes
    ----------
    weights : ndarray of float64, shape (T,)
        Of the next rollouts; their mean absolute value is 1, but for the method "fixed".
    utility : ndarray of float64, shape (T,)
        What policies are compared by, which must not change during a run: the preference, or else ones.
    masked : ndarray of bool, shape (T,)
        Tasks whose gradient can't be told from noise, where the method looks at gradients: they keep their weight, or an equal
        share if that is less, and don't count in those of the others.

    Raises
    ------
    ValueError
        If `preference` or `utopia` does not fit the tasks.
    """

    def __init__(
        self,
        method: Method,
        names: Sequence[str],
        preference: Sequence[float] | None = None,
        utopia: Sequence[float] | None = None,
        highest: Sequence[float] | FloatArray | None = None,
    ) -> None:
        self.method, self.names = method, tuple(names)
        n_tasks = len(self.names)
        self.is_fixed = method.name == "fixed"
        self._looks_at_gradients = bool({"norms", "gram", "stds"}.intersection(method.needs))
        self.utility = np.ones(n_tasks) if preference is None else _per_task("preference", preference, self.names)
        if not self.utility.any() or (not self.is_fixed and (self.utility < 0.0).any()):
            allowed = "an entry other than 0" if self.is_fixed else "no entry below 0 and one above"
            raise ValueError(f"preference must have {allowed}, got {self.utility.tolist()}")
        if self.is_fixed:
            self.utility = self.utility * method.weights
        self._allowed = np.array(method.mask, np.bool_)
        self._utopia = None if utopia is None else _per_task("utopia", utopia, self.names)
        self._highest = np.full(n_tasks, math.inf) if highest is None else np.asarray(highest, np.float64)
        self.weights = self.utility / np.abs(self.utility).mean()
        self.weights = self._applied(np.ones(n_tasks))
        self.masked = np.zeros(n_tasks, np.bool_)
        self.losses = np.full(n_tasks, math.nan)  # of the last iteration
        self._n_updates = 0
        self._quiet = np.zeros(n_tasks, np.int64)  # iterations in a row without evidence of a gradient
        self._first, self._best, self._scale = np.zeros(n_tasks), np.zeros(n_tasks), np.zeros(n_tasks)
        # Sums of what was seen, weighted by decay ** age.
        self._returns, self._stds = np.zeros(n_tasks), np.zeros(n_tasks)
        self._debiased, self._raw = np.zeros((n_tasks, n_tasks)), np.zeros(n_tasks)
        self._signal, self._noise = np.zeros(n_tasks), np.zeros(n_tasks)

    @property
    def n_tasks(self) -> int:
        """T."""
        return len(self.names)

    def update(self, evidence: Evidence) -> None:
        """Learn from an iteration: the weights of the next one follow. If the method raises, nothing has changed.

        Nothing is learned from returns so large that their squares are not finite.
        """
        if not all(np.isfinite(part).all() for part in evidence[:4]):
            return
        state = self._after(evidence)
        weights, losses = self.weights, self._losses(state)
        takes_part = self._allowed & ~state["masked"]
        if state["_n_updates"] > _WARMUP and takes_part.any():
            total = (1.0 - _DECAY ** state["_n_updates"]) / (1.0 - _DECAY)
            returns, stds = state["_returns"] / total, state["_stds"] / total
            given = returns if self.method.name == "custom" else losses
            gram = _floored(state["_debiased"] / total, state["_raw"] / total, state["_n_updates"], evidence)
            with self._with_mask(takes_part):
                self.method.step(given, gram=gram, stds=stds)
            weights = self._applied(self.method.weights, takes_part)
        for index in np.flatnonzero(state["masked"] & ~self.masked):
            _LOG.info("task %r takes no part in the balancing: its gradient can't be told from noise", self.names[index])
        for index in np.flatnonzero(~state["masked"] & self.masked):
            _LOG.info("task %r takes part in the balancing again", self.names[index])
        self._restore(state)
        self.weights, self.losses = weights, losses

    @contextlib.contextmanager
    def _with_mask(self, takes_part: np.ndarray) -> Iterator[None]:
        """With these tasks alone in the method; as before if it raises."""
        before = self.method.mask
        if np.array_equal(before, takes_part):
            yield
            return
        self.method.mask = takes_part
        try:
            yield
        except BaseException:
            self.method.mask = before
            raise

    def rows(self) -> dict[str, float]:
        """Rows of the log: each task's loss, its inverse training rate r_i (large is slow), and whether it takes part."""
        ratios = self.losses / np.where(self._scale > 0.0, self._scale, 1.0)
        rates = ratios / ratios.mean()
        rows: dict[str, float] = {}
        for name, *values in zip(self.names, self.losses, rates, self.masked, strict=True):
            rows |= {f"tasks/{name}/{key}": float(value) for key, value in zip(("loss", "rate", "masked"), values, strict=True)}
        return rows

    def _after(self, evidence: Evidence) -> dict[str, Any]:
        """The state after an iteration."""
        returns, n = evidence.returns, self._n_updates + 1
        is_first = self._n_updates == 0
        first = returns.copy() if is_first else self._first
        best = returns.copy() if is_first else np.maximum(self._best, returns)
        signal = _LONG_DECAY * self._signal + np.diag(evidence.debiased)
        noise = _LONG_DECAY * self._noise + np.diag(evidence.gram)
        state = {
            "_n_updates": n,
            "_first": first,
            "_best": best,
            "_scale": np.maximum(self._goal(first, best) - first, evidence.stds) if is_first else self._scale,
            "_returns": _DECAY * self._returns + returns,
            "_stds": _DECAY * self._stds + evidence.stds,
            "_debiased": _DECAY * self._debiased + evidence.debiased,
            "_raw": _DECAY * self._raw + np.diag(evidence.gram),
            "_signal": signal,
            "_noise": noise,
        }
        deviation = _deviation(n, _LONG_DECAY, evidence)
        above = np.divide(signal, noise * deviation, out=np.zeros_like(signal), where=noise > 0.0)
        quiet = np.where(above < _LOST, self._quiet + 1, np.where(above > _FOUND, 0, self._quiet))
        healthy = evidence.n_directions / (evidence.n_directions + evidence.n_weights + 1.0)
        can_be_told = healthy >= _POWER * deviation
        state["_quiet"] = quiet = np.where(can_be_told, quiet, 0)
        lost = (quiet > 0) & (self.masked | (quiet >= _PATIENCE)) | (noise == 0.0)
        state["masked"] = lost & self._looks_at_gradients
        return state

    def _goal(self, first: FloatArray, best: FloatArray) -> FloatArray:
        """The return of each task that regret is measured from."""
        if self._utopia is not None:
            return self._utopia
        return np.where(np.isfinite(self._highest), self._highest, best + 0.1 * (best - first))

    def _losses(self, state: Mapping[str, Any]) -> FloatArray:
        """Regrets, between 1e-3 and 10 times the first one: positive, as logarithms and ratios need them."""
        average = state["_returns"] * (1.0 - _DECAY) / (1.0 - _DECAY ** state["_n_updates"])
        scale = np.where(state["_scale"] > 0.0, state["_scale"], 1.0)
        regret = self._goal(state["_first"], state["_best"]) - average
        return np.clip(regret, _SMALLEST_RATIO * scale, _LARGEST_RATIO * scale)

    def _applied(self, weights: FloatArray, takes_part: np.ndarray | None = None) -> FloatArray:
        """Weights with the preference in them, of the mean absolute value 1; as before if there is nothing in them.

        Tasks that take no part keep theirs, but no more than an equal share: some methods have no common scale with what was
        before, and a task that turned out to be noise must not be left with most of the weight.
        """
        if self.is_fixed:
            return self.utility.copy()
        active = np.ones(self.n_tasks, np.bool_) if takes_part is None else takes_part
        product = weights * self.utility
        size = float(np.abs(product[active]).sum())
        if not 0.0 < size < math.inf:
            return self.weights
        share = np.abs(self.utility) / np.abs(self.utility).mean()
        held = np.where(active, 0.0, np.clip(self.weights, -share, share))
        return np.where(active, product * ((self.n_tasks - np.abs(held).sum()) / size), held)

    # --- Files

    _STATE = (
        *("_n_updates", "_quiet", "_first", "_best", "_scale", "_returns", "_stds", "_debiased", "_raw", "_signal", "_noise"),
        "masked",
    )

    def _restore(self, state: Mapping[str, Any]) -> None:
        for name in self._STATE:
            setattr(self, name, state[name])

    def state_dict(self) -> dict[str, Any]:
        """All that a run is continued from: numbers and arrays, and `method`, the state of the method."""
        state = {name.strip("_"): getattr(self, name) for name in (*self._STATE, "weights", "losses")}
        return {**state, "method": self.method.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` gave. Another method than the one in it starts anew, from the same averages.

        Raises
        ------
        ValueError
            If it is of other tasks; nothing has changed then.
        """
        restored: dict[str, Any] = {}
        for name in (*self._STATE, "weights", "losses"):
            value, present = state[name.strip("_")], getattr(self, name)
            if name == "_n_updates":
                restored[name] = int(value)
                continue
            value = np.array(value, present.dtype)
            if value.shape != present.shape:
                raise ValueError(f"{name.strip('_')} must have shape {present.shape}, got {value.shape}")
            restored[name] = value
        if state["method"]["method"] == self.method.name:
            self.method.load_state_dict(state["method"])
        self._restore(restored)
        self.weights, self.losses = restored["weights"], restored["losses"]


def weighting_settings(env: Any, weighting: Any, kwargs: Mapping[str, Any] | None, preference: Any, utopia: Any) -> dict[str, Any]:
    """The fields of `Config` that say how the tasks of an environment are weighted.

    Raises
    ------
    ValueError
        If the environment's reward is a scalar and something else is asked for, or for an unknown method.
    TypeError
        If `weighting` is neither a name, a method nor a function.
    """
    from fastars.weighting import METHODS, GradNorm, Method

    if env.n_tasks == 0:
        given = {"weighting": weighting, "weighting_kwargs": kwargs, "preference": preference, "utopia": utopia}
        for name, value in given.items():
            if value is not None and not (name == "weighting_kwargs" and not kwargs):
                raise ValueError(f"{name} needs an environment with a vector reward; that of {env.id} is a scalar, got {value!r}")
        return {}
    # Without alpha GradNorm needs no losses, which returns only have where the best possible one is known.
    default: dict[str, Any] = {"alpha": 0.0} if weighting == "gradnorm" else {}
    if isinstance(weighting, Method):
        name, kwargs = weighting.name if weighting.name in METHODS else "custom", weighting.arguments()
        default = {"alpha": weighting.alpha} if isinstance(weighting, GradNorm) else {}
    elif isinstance(weighting, str) or weighting is None:
        name = weighting or "fixed"
        if name not in METHODS:
            raise ValueError(f"weighting must be one of {', '.join(METHODS)}, a method or a function, got {weighting!r}")
    elif callable(weighting) and not isinstance(weighting, type):
        name = "custom"
    else:
        raise TypeError(f"weighting must be a name, a method of fastars.weighting or a function, got {weighting!r}")
    kwargs = {**default, **(kwargs or {})}
    # A preset's offset takes a bonus out of a scalar reward; here that bonus is a task, or a part of one, with a weight of its own.
    fields = {"weighting": name, "weighting_kwargs": kwargs, "preference": preference, "utopia": utopia}
    return {**fields, "alive_bonus_offset": 0.0}


def make_objectives(env: Any, weighting: Any, config: Any) -> Objectives | None:
    """The objectives of a run; None where the reward is a scalar."""
    from fastars.weighting import make_method

    if config.weighting is None:
        return None
    if isinstance(weighting, str) or weighting is None:
        method = make_method(config.weighting, env.n_tasks, env.task_names, **config.weighting_kwargs)
    else:
        method = make_method(copy.copy(weighting), env.n_tasks, env.task_names)
        method.reset()  # a copy that starts anew: two models don't share what they learn
    return Objectives(method, env.task_names, config.preference, config.utopia, _highest_returns(env))


def _highest_returns(env: Any) -> FloatArray:
    """The highest return of each task, where the reward space tells it: of a reward that is never positive, paid at least once.

    A positive bound tells nothing: some rewards are paid at every step, others once in an episode.
    """
    high = np.array(env.reward_space.high, np.float64)
    return np.where(high > 0.0, math.inf, high)


def _per_task(name: str, values: Sequence[float], tasks: Sequence[str]) -> FloatArray:
    """A finite number for each task."""
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers, got {values!r}") from None
    if array.shape != (len(tasks),) or not np.isfinite(array).all():
        raise ValueError(
            f"{name} must have a finite number for each of the {len(tasks)} tasks ({', '.join(tasks)}), got {values!r}"
        )
    return array


def _deviation(n: int, decay: float, evidence: Evidence) -> float:
    """Deviation of the averaged square of a gradient that is pure noise, as a part of the same without the bias taken out.

    That is sqrt(2 / d) in one iteration of many directions; averages over n of them, weighted by decay ** age, have the less.
    """
    mean_square = (1.0 - decay ** (2 * n)) / (1.0 - decay**2) * ((1.0 - decay) / (1.0 - decay**n)) ** 2
    return math.sqrt(2.0 / evidence.n_weights * mean_square)


def _floored(gram: FloatArray, raw: FloatArray, n: int, evidence: Evidence) -> FloatArray:
    """A Gram matrix in which no gradient is shorter than what can be told from noise.

    Without its bias a square may even be negative, and a task of pure noise would be given all the weight before it is found out.
    """
    floored = gram.copy()
    least = _deviation(n, _DECAY, evidence) * raw
    np.fill_diagonal(floored, np.maximum(np.diag(gram), np.maximum(least, 1e-8 * raw.max(initial=0.0))))
    return floored

"""GradNorm: weights that bring the norms of all tasks' weighted gradients to one size (Chen et al. 2018, arXiv 1711.02257)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Unpack

import numpy as np

from fastars import kernels
from fastars._compiled.structs import FloatArray
from fastars._validate import number, one_of, user_facing
from fastars.weighting.adam import adam, first_moments
from fastars.weighting.inputs import check_at_least
from fastars.weighting.method import Common, Method
from fastars.weighting.per_task import number_of_tasks
from fastars.weighting.step import Inputs, State, Step, placed, total

UPDATES = ("log", "closed", "paper", "softmax")
_LEARNING_RATES = {"log": 0.1, "closed": 1.0, "paper": 0.025, "softmax": 0.025}
_LEAST_NORM = 1e-13  # of the largest: without it, a task without a gradient would take all the weight
_LEAST_RATIO = 1e-13  # of the largest loss ratio: a finished task has a target of zero, and zero has no logarithm
_LEAST_WEIGHT = 1e-300  # a weight of 0 would stay 0 for ever
_SAFE = 1e-100, 1e100  # norms whose products with weights, and squares, are in the range of float64


class GradNorm(Method):
    """GradNorm, from the norms of the tasks' gradients.

    Each weighted gradient's norm G_i = w_i |grad L_i| is pulled towards mean(G) r_i^alpha. r_i is the task's loss ratio
    L_i / L_i(0) divided by the mean of all tasks: tasks that learn slowly get larger gradients. With alpha = 0 losses don't matter,
    and all norms become equal. A step returns w(t), and `weights` are w(t + 1), as in the paper's Algorithm 1.

    The weights sum to T. A task that is masked, or whose norm is below 1e-13 of the largest, keeps its weight, and the others share
    the rest of T. A loss ratio below 1e-13 of the largest counts as 1e-13 of it.

    Parameters
    ----------
    n_tasks, **common
        As for `Method`: names, normalize, update_every, mask, freeze.
    alpha : float
        At least 0. The paper uses 0.12 for its toy and 1.5 for NYUv2, and finds gains for almost any value below 3.
    update : {"log", "closed", "paper", "softmax"}
        "log": a step in the logarithms of the weights; it has the fixed point "closed" and resolves any ratio of weights.
        "closed": w_i proportional to r_i^alpha / |grad L_i|, at once. "paper": Adam on the weights. "softmax": Adam on v with
        w = T softmax(v), as in LibMTL. Adam hardly moves if gradients are below its epsilon, 1e-8; if one is above 1e100, all are
        divided by one number.
    learning_rate : float, optional
        Default: 0.1 for "log", 0.025 (the paper's value) for "paper" and "softmax". "closed" ignores it. With a rate h of at most
        1, constant norms and losses, and weights that start with ratios e^D to "closed", "log" is within a factor 1 + e of it after
        D / h + log(1 / e) / h steps, from anywhere: 1,000 for D = 83 and e = 1e-7.
    min_weight : float
        Least weight. "log" and "closed" then end at r_i^alpha / |grad L_i| with the smallest weights raised to it. The default
        bounds nothing that occurs.
    initial_losses : "first" or sequence, optional
        L(0): for each task a positive number (log(C) for a cross-entropy of C classes), or "first" for the loss of its first step.
    initial_losses_decay : float
        1: L(0) is constant. From 0 to below 1: it follows the losses, L(0) <- decay L(0) + (1 - decay) L.
    """

    name = "gradnorm"

    @user_facing
    def __init__(
        self,
        n_tasks: int | None = None,
        alpha: float = 1.5,
        *,
        update: str = "log",
        learning_rate: float | None = None,
        min_weight: float = 1e-100,
        initial_losses: str | Sequence[Any] = "first",
        initial_losses_decay: float = 1.0,
        **common: Unpack[Common],
    ) -> None:
        self.alpha = number("alpha", alpha, 0.0)
        self.update = one_of("update", update, UPDATES)
        self.learning_rate = None if learning_rate is None else number("learning_rate", learning_rate, 0.0)
        self.min_weight = number("min_weight", min_weight, 0.0, 1.0)
        self.initial_losses = _initial_losses(initial_losses)
        self.initial_losses_decay = number("initial_losses_decay", initial_losses_decay, 0.0)
        if self.initial_losses_decay > 1.0:
            raise ValueError(f"initial_losses_decay must be at most 1, got {initial_losses_decay!r}")
        per_task = None if isinstance(self.initial_losses, str) else self.initial_losses
        super().__init__(number_of_tasks(n_tasks, initial_losses=per_task), **common)

    @property
    def needs(self) -> tuple[str, ...]:
        """Norms; and losses, unless alpha is 0."""
        return ("norms",) if self.alpha == 0.0 else ("losses", "norms")

    def _first(self, n_tasks: int) -> tuple[FloatArray, State]:
        initial = np.full(n_tasks, np.nan)  # NaN until the loss is known
        if not isinstance(self.initial_losses, str):
            initial = np.array([np.nan if loss == "first" else loss for loss in self.initial_losses], np.float64)
        return np.ones(n_tasks), {"initial": initial, "logits": np.zeros(n_tasks), **first_moments(n_tasks)}

    def _next(self, weights: FloatArray, state: State, inputs: Inputs) -> Step:
        norms: Any = inputs.norms
        if self.alpha != 0.0 and inputs.losses is not None:
            check_at_least("losses", inputs.losses, 0.0, "at least 0 for GradNorm", inputs)
        listed = norms[inputs.tasks].tolist()  # the largest entry of a short list is found faster than with NumPy
        largest = max(listed)
        if min(listed) <= _LEAST_NORM * largest and largest > 0.0:
            present = inputs.mask & (norms > _LEAST_NORM * largest)
            inputs = inputs._replace(mask=present, tasks=np.flatnonzero(present))
        tasks = inputs.tasks
        initial, ratios = self._ratios(state["initial"], inputs)
        info = partial(_info, weights, norms, ratios, self.alpha, inputs.mask)
        if largest == 0.0:  # nothing to balance
            return Step(weights, weights, {**state, "initial": initial}, info)
        proposed, learned = self._updated(weights[tasks], self._in_range(norms[tasks], largest), ratios[tasks], tasks, state)
        bounded = kernels.bounded_weights(proposed, max(self.min_weight, _LEAST_WEIGHT), total(weights, inputs))
        return Step(weights, placed(weights, tasks, bounded), {**state, **learned, "initial": initial}, info)

    def _ratios(self, initial: FloatArray, inputs: Inputs) -> tuple[FloatArray, FloatArray]:
        """Return (L(0) after this step, loss ratios)."""
        if self.alpha == 0.0 or inputs.losses is None:
            return initial, np.ones(len(initial))
        losses, tasks = inputs.losses, inputs.tasks
        if any(map(math.isnan, initial.tolist())):
            initial = _first_losses(initial, losses, inputs)
        ratios = losses / initial
        listed = ratios[tasks].tolist()
        if not max(listed) < _SAFE[1]:
            ratios = _quotients(losses, initial, inputs)
            listed = ratios[tasks].tolist()
        largest = max(listed)
        if largest == 0.0:
            ratios = np.ones(len(ratios))
        elif min(listed) < _LEAST_RATIO * largest:
            ratios = np.maximum(ratios, _LEAST_RATIO * largest)
        if self.initial_losses_decay < 1.0:
            following = self.initial_losses_decay * initial + (1.0 - self.initial_losses_decay) * losses
            initial = placed(initial, tasks, np.where(following > 0.0, following, initial)[tasks])
        return initial, ratios

    def _in_range(self, norms: FloatArray, largest: float) -> FloatArray:
        """Return norms divided by a power of two near the largest, if the arithmetic would leave the range of float64 otherwise."""
        if largest > _SAFE[1] or (largest < _SAFE[0] and self.update in ("log", "closed")):
            return np.ldexp(norms, -math.frexp(largest)[1])
        return norms

    def _updated(
        self, weights: FloatArray, norms: FloatArray, ratios: FloatArray, tasks: Any, state: State
    ) -> tuple[FloatArray, State]:
        """Return (unbounded weights of the tasks that take part, changed entries of the state)."""
        rate = _LEARNING_RATES[self.update] if self.learning_rate is None else self.learning_rate
        if self.update == "closed":
            return kernels.gradnorm_closed(norms, ratios, self.alpha), {}
        if self.update == "log":
            return kernels.gradnorm_log(weights, norms, ratios, self.alpha, rate, max(self.min_weight, _LEAST_WEIGHT)), {}
        if self.update == "paper":
            down, moments = adam(state, tasks, kernels.gradnorm_gradient(weights, norms, ratios, self.alpha), rate)
            return np.maximum(weights - down, self.min_weight), moments
        logits = state["logits"]
        _, gradient = kernels.gradnorm_softmax(logits[tasks], norms, ratios, self.alpha)
        down, moments = adam(state, tasks, gradient, rate)
        logits = placed(logits, tasks, logits[tasks] - down)
        proposed, _ = kernels.gradnorm_softmax(logits[tasks], norms, ratios, self.alpha)
        return proposed, {**moments, "logits": logits}


def _quotients(losses: FloatArray, initial: FloatArray, inputs: Inputs) -> FloatArray:
    """Return losses / initial up to a common factor, where the quotients themselves are out of range: the largest is near 1."""
    (parts, exponents), (initial_parts, initial_exponents) = np.frexp(losses), np.frexp(initial)
    exponents = exponents - initial_exponents
    largest = exponents[inputs.mask & (losses > 0.0)].max()
    return np.ldexp(parts / initial_parts, exponents - largest)


def _first_losses(initial: FloatArray, losses: FloatArray, inputs: Inputs) -> FloatArray:
    """Return L(0) with the losses of tasks that take part for the first time."""
    new = np.isnan(initial) & inputs.mask
    for i in np.flatnonzero(new & (losses == 0.0)):
        raise ValueError(f"the first loss must be positive for GradNorm, got 0 for {inputs.task_label(i)}: give initial_losses")
    return np.where(new, losses, initial)


def _info(weights: FloatArray, norms: FloatArray, ratios: FloatArray, alpha: float, mask: np.ndarray) -> dict[str, Any]:
    weighted, rates = weights * norms, ratios / ratios[mask].mean()
    targets = weighted[mask].mean() * rates**alpha
    return {
        "norms": norms,
        "weighted_norms": weighted,
        "targets": targets,
        "ratio": ratios,
        "r": rates,
        "l_grad": float(np.abs(weighted - targets)[mask].sum()),
        "masked": ~mask,
    }


def _initial_losses(losses: Any) -> Any:
    """Return "first", or a tuple with a positive number or "first" for each task."""
    if isinstance(losses, str):
        if losses != "first":
            raise ValueError(f"initial_losses must be 'first' or an entry per task, got {losses!r}")
        return losses
    each = "each entry of initial_losses that is not 'first'"
    return tuple(loss if isinstance(loss, str) and loss == "first" else number(each, loss, above=0.0) for loss in losses)

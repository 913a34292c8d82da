"""GradNorm: weights that bring the norms of all tasks' weighted gradients to a common size (Chen et al. 2018, arXiv 1711.02257)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastars import kernels
from fastars._structs import FloatArray
from fastars.weighting.method import Inputs, Method, State, Step, number

UPDATES = ("log", "closed", "paper", "softmax")
_LEARNING_RATES = {"log": 0.1, "closed": 1.0, "paper": 0.025, "softmax": 0.025}
_LEAST_NORM = 1e-8  # of the largest: where a task has no gradient, its weight would have no bound


class GradNorm(Method):
    """GradNorm, by the norms of the tasks' gradients alone.

    Each weighted gradient's norm G_i = w_i |grad L_i| is pulled towards mean(G) r_i^alpha, where r_i is the task's loss ratio
    L_i / L_i(0) over the mean of all: tasks that learn slowly get larger gradients. With alpha = 0 losses don't matter, and all
    norms become equal. A step returns w(t), and `weights` are w(t + 1), as in the paper's Algorithm 1.

    The weights sum to T.

    Parameters
    ----------
    n_tasks, names, normalize, update_every
        As for `Method`.
    alpha : float
        At least 0. The paper uses 0.12 for its toy and 1.5 for NYUv2, and finds gains for almost any value below 3.
    update : {"log", "closed", "paper", "softmax"}
        "log": a step in the logarithms of the weights, which has the fixed point "closed" and resolves any ratio of weights.
        "closed": w_i proportional to r_i^alpha / |grad L_i|, at once. "paper": Adam on the weights. "softmax": Adam on v with
        w = T softmax(v), as LibMTL does it.
    learning_rate : float, optional
        Default: 0.1 for "log", 0.025 (the paper's) for "paper" and "softmax"; without effect for "closed".
    min_weight : float
        No weight is smaller.
    initial_losses : "first" or sequence, optional
        L(0): of each task a positive number (log(C) for a cross-entropy of C classes), or "first" for the loss of its first step.
    initial_losses_decay : float
        1: L(0) stays as it is. Below 1: it follows the losses, L(0) <- decay L(0) + (1 - decay) L.
    """

    name = "gradnorm"
    positive_losses = True

    def __init__(
        self,
        n_tasks: int | None = None,
        alpha: float = 1.5,
        *,
        update: str = "log",
        learning_rate: float | None = None,
        min_weight: float = 1e-4,
        initial_losses: str | Sequence[Any] = "first",
        initial_losses_decay: float = 1.0,
        names: Sequence[str] | None = None,
        normalize: str | None = None,
        update_every: int = 1,
    ) -> None:
        self.alpha = number("alpha", alpha, 0.0)
        if update not in UPDATES:
            raise ValueError(f"update must be one of {', '.join(map(repr, UPDATES))}, got {update!r}")
        self.update = update
        self.learning_rate = None if learning_rate is None else number("learning_rate", learning_rate, 0.0)
        self.min_weight = number("min_weight", min_weight, 0.0, 1.0)
        self.initial_losses = _initial_losses(initial_losses)
        self.initial_losses_decay = number("initial_losses_decay", initial_losses_decay, 0.0)
        if self.initial_losses_decay > 1.0:
            raise ValueError(f"initial_losses_decay must be at most 1, got {initial_losses_decay!r}")
        if n_tasks is None and self.initial_losses != "first":
            n_tasks = len(self.initial_losses)
        super().__init__(n_tasks, names=names, normalize=normalize, update_every=update_every)
        if self.n_tasks is not None and self.initial_losses != "first" and len(self.initial_losses) != self.n_tasks:
            raise ValueError(f"initial_losses must have {self.n_tasks} entries, one per task, got {initial_losses!r}")

    @property
    def needs(self) -> tuple[str, ...]:
        """Losses only count where alpha is not 0."""
        return ("norms",) if self.alpha == 0.0 else ("losses", "norms")

    def _first(self, n_tasks: int) -> tuple[FloatArray, State]:
        zeros = np.zeros(n_tasks)
        initial = np.full(n_tasks, np.nan)  # until it is known
        if not isinstance(self.initial_losses, str):
            initial = np.array([np.nan if loss == "first" else loss for loss in self.initial_losses], np.float64)
        return np.ones(n_tasks), {"initial": initial, "n_updates": zeros, "logits": zeros, "m": zeros, "v": zeros}

    def _next(self, weights: FloatArray, state: State, inputs: Inputs) -> Step:
        active = inputs.mask
        initial, ratios = self._ratios(state["initial"], inputs)
        given: Any = inputs.norms
        largest = given[active].max()
        norms = np.maximum(given, _LEAST_NORM * largest)
        info = self._info(weights, norms, ratios, active)
        state = {**state, "initial": initial}
        if largest == 0.0:  # nothing to balance
            return Step(weights, weights, state, info)
        total = len(weights) - weights[~active].sum()
        proposed, state = self._updated(weights, norms, ratios, active, state)
        following = weights.copy()
        following[active] = kernels.bounded_weights(proposed, self.min_weight, total)
        return Step(weights, following, state, info)

    def _ratios(self, initial: FloatArray, inputs: Inputs) -> tuple[FloatArray, FloatArray]:
        """L(0) after this step, and the loss ratios."""
        if self.alpha == 0.0 or inputs.losses is None:
            return initial, np.ones(len(initial))
        initial = np.where(np.isnan(initial) & inputs.mask, inputs.losses, initial)
        ratios = inputs.losses / initial
        decay = self.initial_losses_decay
        followed = decay * initial + (1.0 - decay) * inputs.losses
        return np.where(inputs.mask & (decay < 1.0), followed, initial), ratios

    def _updated(
        self, weights: FloatArray, norms: FloatArray, ratios: FloatArray, active: np.ndarray, state: State
    ) -> tuple[FloatArray, State]:
        """(weights of the active tasks before they are bounded, next state)."""
        w, n, ratio = weights[active], norms[active], ratios[active]
        rate = _LEARNING_RATES[self.update] if self.learning_rate is None else self.learning_rate
        if self.update == "closed":
            return kernels.gradnorm_closed(n, ratio, self.alpha), state
        if self.update == "log":
            return kernels.gradnorm_log(w, n, ratio, self.alpha, rate), state
        if self.update == "paper":
            stepped, state = _adam(state, active, kernels.gradnorm_gradient(w, n, ratio, self.alpha), rate)
            return np.maximum(w - stepped, self.min_weight), state
        logits = state["logits"]
        _, gradient = kernels.gradnorm_softmax(logits[active], n, ratio, self.alpha)
        stepped, state = _adam(state, active, gradient, rate)
        moved = logits.copy()
        moved[active] -= stepped
        proposed, _ = kernels.gradnorm_softmax(moved[active], n, ratio, self.alpha)
        return proposed, {**state, "logits": moved}

    def _info(self, weights: FloatArray, norms: FloatArray, ratios: FloatArray, active: np.ndarray) -> dict[str, Any]:
        weighted, rates = weights * norms, ratios / ratios[active].mean()
        targets = weighted[active].mean() * rates**self.alpha
        return {
            "norms": norms,
            "weighted_norms": weighted,
            "targets": targets,
            "ratio": ratios,
            "r": rates,
            "l_grad": float(np.abs(weighted - targets)[active].sum()),
            "masked": ~active,
        }


def _adam(state: State, active: np.ndarray, gradient: FloatArray, rate: float) -> tuple[FloatArray, State]:
    """(what Adam takes away from the active entries, its next state). Its moments stay through renormalisation."""
    t = state["n_updates"] + active
    m, v, step = kernels.adam_step(
        state["m"][active], state["v"][active], int(t[active].max()), gradient, rate, 0.9, 0.999, 1e-8, 0.0, np.zeros(len(gradient))
    )
    following = {"n_updates": t, "m": state["m"].copy(), "v": state["v"].copy()}
    following["m"][active], following["v"][active] = m, v
    return step, {**state, **following}


def _initial_losses(losses: Any) -> Any:
    """The word, or a tuple of positive numbers and the word."""
    if isinstance(losses, str):
        if losses != "first":
            raise ValueError(f"initial_losses must be 'first' or an entry per task, got {losses!r}")
        return losses
    entries = tuple(loss if isinstance(loss, str) else float(loss) for loss in losses)
    for loss in entries:
        if loss != "first" and not (not isinstance(loss, str) and 0.0 < loss < np.inf):
            raise ValueError(f"initial_losses must be positive numbers or 'first', got {losses!r}")
    return entries

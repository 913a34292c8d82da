"""Weights from the tasks' uncertainty (Kendall, Gal & Cipolla 2018, arXiv 1705.07115), and two later forms."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Unpack

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._validate import number, one_of, user_facing
from fastars.weighting.adam import adam, first_moments
from fastars.weighting.method import Common, Method
from fastars.weighting.per_task import number_of_tasks
from fastars.weighting.softmax import softmax
from fastars.weighting.step import Inputs, State, Step, placed

# A task's term is factor exp(-s) L + slope s: (factor, slope). The slope of "liebel" is not constant: log(1 + exp(s)).
_TERMS = {"regression": (0.5, 0.5), "classification": (1.0, 0.5), "laplace": (1.0, 1.0), "liebel": (0.5, np.nan)}
_LEARNING_RATES = {"adam": 0.025, "sgd": 0.025, "closed": 0.0}


class UncertaintyWeighting(Method):
    """Each loss divided by a variance that is learned beside it; the variance's logarithm is added to the total loss.

    With s = log sigma^2, each task adds a term to the total loss. Its stationary weight is the weight at the s with the least term:

    ================  ====================================  =====================================
    kind              term                                  stationary weight
    ================  ====================================  =====================================
    "regression"      L exp(-s) / 2 + s / 2                 1 / (2 L)
    "classification"  L exp(-s) + s / 2                     1 / (2 L)
    "laplace"         L exp(-s) + s, where s = log b        1 / L
    "liebel"          L exp(-s) / 2 + log(1 + exp(s))       2 / (L + sqrt(L^2 + 8 L))
    ================  ====================================  =====================================

    L is a mean of squared errors ("regression", "liebel"), a cross-entropy ("classification"), or a mean of absolute errors
    ("laplace", for Laplace's distribution). With "liebel" (Liebel & Koerner 2018, arXiv 1805.06334) the total is never negative;
    with the others it may be, which is no error. A step returns the weights with which it begins, and `weights` holds the weights
    after s was learned. The sum of the weights is not fixed.

    Parameters
    ----------
    n_tasks, **common
        As for `Method`: names, normalize, update_every, mask, freeze.
    kind : str or sequence of str, shape (T,)
        A kind of the table, for all tasks or for each.
    update : {"adam", "sgd", "closed"}
        Rule that learns s: Adam, plain steps down the gradient, or "closed", which takes the stationary s for the losses of this
        step; the step then returns its weights.
    learning_rate : float, optional
        Default: 0.025; without effect for "closed".
    initial_log_variance : float
        s at the start. LibMTL uses -0.5.
    """

    name = "uncertainty"
    positive_losses = True

    @user_facing
    def __init__(
        self,
        n_tasks: int | None = None,
        kind: str | Sequence[str] = "regression",
        *,
        update: str = "adam",
        learning_rate: float | None = None,
        initial_log_variance: float = 0.0,
        **common: Unpack[Common],
    ) -> None:
        self.kind = kind if isinstance(kind, str) else tuple(kind)
        per_task = None if isinstance(self.kind, str) else self.kind
        for of_task in per_task or (kind,):
            one_of("kind", of_task, _TERMS)
        self.update = one_of("update", update, _LEARNING_RATES)
        self.learning_rate = None if learning_rate is None else number("learning_rate", learning_rate, 0.0)
        self.initial_log_variance = number("initial_log_variance", initial_log_variance)
        super().__init__(number_of_tasks(n_tasks, kind=per_task), **common)

    @property
    def needs(self) -> tuple[str, ...]:
        """Losses."""
        return ("losses",)

    def _first(self, n_tasks: int) -> tuple[FloatArray, State]:
        s = np.full(n_tasks, self.initial_log_variance)
        factors, _ = self._terms(n_tasks)
        return factors * np.exp(-s), {"log_variances": s, **first_moments(n_tasks)}

    def _next(self, weights: FloatArray, state: State, inputs: Inputs) -> Step:
        tasks, s = inputs.tasks, state["log_variances"]
        losses: Any = inputs.losses
        factors, slopes = (term[tasks] for term in self._terms(len(weights)))
        if self.update == "closed":
            learned, moments = _stationary(losses[tasks], factors, slopes), {}
        else:
            gradient = _slopes_at(s[tasks], slopes) - factors * np.exp(-s[tasks]) * losses[tasks]
            rate = _LEARNING_RATES[self.update] if self.learning_rate is None else self.learning_rate
            down, moments = adam(state, tasks, gradient, rate) if self.update == "adam" else (rate * gradient, {})
            learned = s[tasks] - down
        following = placed(weights, tasks, factors * np.exp(-learned))
        state = {**state, **moments, "log_variances": placed(s, tasks, learned)}
        used, s_used = (following, state["log_variances"]) if self.update == "closed" else (weights, s)
        return Step(used, following, state, partial(self._info, s_used, losses, inputs.mask))

    def _terms(self, n_tasks: int) -> tuple[FloatArray, FloatArray]:
        """Return factors and slopes, (T,) each."""
        kinds = (self.kind,) * n_tasks if isinstance(self.kind, str) else self.kind
        terms = np.array([_TERMS[kind] for kind in kinds])
        return terms[:, 0], terms[:, 1]

    def _info(self, s: FloatArray, losses: FloatArray, mask: np.ndarray) -> dict[str, Any]:
        factors, slopes = self._terms(len(s))
        terms = factors * np.exp(-s) * losses + np.where(np.isnan(slopes), np.logaddexp(0.0, s), slopes * s)
        return {"log_variances": s.copy(), "terms": terms, "total": float(terms[mask].sum())}


class UWSO(Method):
    """Uncertainty weighting by a softmax (Kirchdorfer et al. 2024, arXiv 2408.07985): w = softmax(1 / (temperature L)).

    1 / L are the weights of uncertainty weighting at its optimum, so nothing is learned; the softmax bounds them. A step returns
    the weights of its own losses. They sum to 1.

    Parameters
    ----------
    n_tasks, **common
        As for `Method`: names, normalize, update_every, mask, freeze.
    temperature : float
        Above 0. Large values make the weights equal. The paper tunes it.
    """

    name = "uw-so"
    positive_losses = True

    @user_facing
    def __init__(
        self,
        n_tasks: int | None = None,
        temperature: float = 1.0,
        **common: Unpack[Common],
    ) -> None:
        self.temperature = number("temperature", temperature, above=0.0)
        super().__init__(n_tasks, **common)

    @property
    def needs(self) -> tuple[str, ...]:
        """Losses."""
        return ("losses",)

    def _first(self, n_tasks: int) -> tuple[FloatArray, State]:
        return np.full(n_tasks, 1.0 / n_tasks), {}

    def _next(self, weights: FloatArray, state: State, inputs: Inputs) -> Step:
        losses: Any = inputs.losses
        scores = 1.0 / (losses[inputs.tasks] * self.temperature)
        if not np.isfinite(scores).all():
            least = losses[inputs.tasks].min()
            beyond = least / losses[inputs.tasks] - 1.0  # 0 for the least loss, whose score is infinite
            scores = np.where(beyond < 0.0, beyond / (least * self.temperature), 0.0)
        following = placed(weights, inputs.tasks, softmax(scores))
        return Step(following, following, state, {})


def _slopes_at(s: FloatArray, slopes: FloatArray) -> FloatArray:
    """Return d/ds of the terms without the loss; a slope of NaN stands for log(1 + exp(s))."""
    return np.where(np.isnan(slopes), 1.0 / (1.0 + np.exp(-s)), slopes)


def _stationary(losses: FloatArray, factors: FloatArray, slopes: FloatArray) -> FloatArray:
    """Return the log variances with the least terms; for "liebel" the logarithm of a root of 2 x^2 - L x - L = 0."""
    liebel = losses / 4.0 + np.sqrt(losses) / 4.0 * np.sqrt(losses + 8.0)
    return np.log(np.where(np.isnan(slopes), liebel, factors * losses / slopes))

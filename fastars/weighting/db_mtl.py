"""DB-MTL: logarithms of the losses, whose gradients are scaled to the longest one (Lin et al. 2023, arXiv 2308.12029)."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from fastars import kernels
from fastars._compiled.structs import FloatArray
from fastars._validate import number, user_facing
from fastars.weighting.method import Common, Method
from fastars.weighting.step import Inputs, State, Step, placed

_LEAST_NORM = 1e-13  # of the largest: without it, a task without a gradient would take all the weight


class DBMTL(Method):
    """Dual-balancing: the gradients of all log L_i, each scaled to the length of the longest one.

    The logarithm removes the scale of a loss: its gradient is grad L_i / L_i. With m_i the norm of this gradient, w_i is
    max(m) / m_i / L_i. The weighted gradients of all tasks then have one length, the largest |grad L_i| / L_i. Their directions and
    ratios are those of GradNorm with alpha = 0; the length falls as the losses are learned. The sum of the weights is not fixed.

    m is an average over the steps: in step t the decay is beta / t^decay_power. The paper averages the gradients themselves, and
    its step is made of the averages. Weights can't do this: here the average is that of the norms, and the step is made of this
    step's gradients. With beta = 0 both are the same. For the paper's step, average the gradients of log L yourself, and give them
    as `grads` with beta = 0 and losses of 1. (The authors add 1e-8 to losses and norms; here nothing is added.)

    A task whose norm is below 1e-13 of the largest keeps its weight. A step returns the weights of its own losses and gradients.

    Parameters
    ----------
    n_tasks, **common
        As for `Method`: names, normalize, update_every, mask, freeze.
    beta : float
        Decay of the average in the first step: from 0, no average, to below 1. The paper tunes it between 0.1 and 0.9.
    decay_power : float
        At least 0. With 0, the decay is constant. The paper uses 0.5.
    """

    name = "db-mtl"
    positive_losses = True

    @user_facing
    def __init__(
        self,
        n_tasks: int | None = None,
        beta: float = 0.9,
        *,
        decay_power: float = 0.5,
        **common: Unpack[Common],
    ) -> None:
        self.beta = number("beta", beta, 0.0, 1.0)
        self.decay_power = number("decay_power", decay_power, 0.0)
        super().__init__(n_tasks, **common)

    @property
    def needs(self) -> tuple[str, ...]:
        """Losses and norms."""
        return ("losses", "norms")

    def _first(self, n_tasks: int) -> tuple[FloatArray, State]:
        state = {"n_updates": np.zeros(n_tasks, np.int64), "averages": np.zeros(n_tasks), "products": np.ones(n_tasks)}
        return np.ones(n_tasks), state

    def _next(self, weights: FloatArray, state: State, inputs: Inputs) -> Step:
        losses: Any = inputs.losses
        norms: Any = inputs.norms
        present = inputs.mask & (norms > _LEAST_NORM * norms[inputs.tasks].max())
        tasks = np.flatnonzero(present)
        info = {"norms": norms, "log_norms": norms / losses, "masked": ~present}
        if len(tasks) == 0:  # nothing to balance
            return Step(weights, weights, state, info)
        counts = state["n_updates"][tasks] + 1
        decays = self.beta / counts**self.decay_power
        before = state["averages"][tasks], decays, state["products"][tasks]
        proposed, averages, products = kernels.db_mtl(norms[tasks], losses[tasks], *before)
        following = placed(weights, tasks, proposed)
        learned = {"n_updates": counts, "averages": averages, "products": products}
        return Step(following, following, {name: placed(state[name], tasks, value) for name, value in learned.items()}, info)

"""RLlib's optimizers, with its signatures, over fastars' kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastars import kernels
from fastars._compiled.structs import FloatArray
from fastars._validate import user_facing


class _Optimizer:
    """Steps down a gradient. `policy` has `num_params` and `get_flat_weights()`."""

    def __init__(self, policy: Any) -> None:
        self.policy, self.dim, self.t = policy, policy.num_params, 0

    @user_facing
    def update(self, globalg: Any) -> tuple[FloatArray, float]:
        """Take a step for a gradient of the loss, shape (num_params,).

        Returns
        -------
        theta : ndarray of float64, shape (num_params,)
            New weights; the policy keeps its own.
        ratio : float
            Norm of the step over the norm of the weights; infinite if the weights are 0.
        """
        gradient = np.ascontiguousarray(globalg, np.float64)
        if gradient.shape != (self.dim,):
            raise ValueError(f"globalg must have shape ({self.dim},), got {gradient.shape}")
        theta = np.array(self.policy.get_flat_weights(), np.float64)
        self.t += 1
        step = self._step(-gradient, theta)
        norm = float(np.linalg.norm(theta))
        return theta + step, float(np.linalg.norm(step)) / norm if norm > 0.0 else math.inf

    def _step(self, ascent: FloatArray, theta: FloatArray) -> FloatArray:
        raise NotImplementedError


class SGD(_Optimizer):
    """Gradient descent with momentum: v = momentum v + (1 - momentum) g; theta -= stepsize v."""

    @user_facing
    def __init__(self, policy: Any, stepsize: float, momentum: float = 0.0) -> None:
        super().__init__(policy)
        self.stepsize, self.momentum = stepsize, momentum
        self._velocity = np.zeros(self.dim)

    @property
    def v(self) -> FloatArray:
        """The velocity v, in the direction of the gradient of the loss."""
        return -self._velocity

    def _step(self, ascent: FloatArray, theta: FloatArray) -> FloatArray:
        self._velocity, step = kernels.sgd_step(self._velocity, ascent, self.stepsize, self.momentum, 0.0, theta)
        return step


class Adam(_Optimizer):
    """Adam (Kingma & Ba 2015), in the form at the end of section 2 of the paper."""

    @user_facing
    def __init__(self, policy: Any, stepsize: float, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> None:
        super().__init__(policy)
        self.stepsize, self.beta1, self.beta2, self.epsilon = stepsize, beta1, beta2, epsilon
        self._m, self._v = np.zeros(self.dim), np.zeros(self.dim)

    def _step(self, ascent: FloatArray, theta: FloatArray) -> FloatArray:
        constants = float(self.stepsize), self.beta1, self.beta2, self.epsilon, 0.0
        self._m, self._v, step = kernels.adam_step(self._m, self._v, self.t, ascent, *constants, theta)
        return step

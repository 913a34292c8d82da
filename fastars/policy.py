"""A trained policy: weights, filter and action space, with `predict` in the arithmetic of the rollout kernels."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastars import kernels, reference
from fastars._signals import HeldSignals
from fastars._structs import Filter, FloatArray, LinearPolicy, identity_filter
from fastars.envs import CompiledEnv

POLICIES = ("LinearPolicy",)


def parse_policy(policy: Any, policy_kwargs: Mapping[str, Any] | None) -> LinearPolicy:
    """The policy that a name and its keyword arguments mean.

    Raises
    ------
    ValueError
        For an unknown name or keyword argument; the message gives those allowed.
    """
    if policy in ("MlpPolicy", "CnnPolicy", "MultiInputPolicy"):
        raise ValueError(f"policy {policy!r} is not compiled; policies are {', '.join(map(repr, POLICIES))}")
    if policy not in POLICIES:
        near = difflib.get_close_matches(str(policy), POLICIES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"policy must be one of {', '.join(map(repr, POLICIES))}, got {policy!r}{hint}")
    kwargs = dict(policy_kwargs or {})
    with_bias = kwargs.pop("with_bias", False)
    squash_output = kwargs.pop("squash_output", False)
    if kwargs:
        raise ValueError(f"policy_kwargs of LinearPolicy are with_bias and squash_output, got {', '.join(map(repr, kwargs))}")
    if squash_output:
        raise ValueError("policy_kwargs: squash_output=True is not compiled for LinearPolicy; actions are clipped instead")
    if with_bias not in (True, False):
        raise TypeError(f"policy_kwargs: with_bias must be True or False, got {with_bias!r}")
    return LinearPolicy(bool(with_bias))


def n_weights(policy: LinearPolicy, env: CompiledEnv) -> int:
    """Length of the flat weights of `policy` in `env`."""
    return env.n_act * (env.n_obs + policy.with_bias)


class Policy:
    """A linear policy for one environment.

    Attributes
    ----------
    weights : ndarray of float64, shape (n_weights,)
        `W.ravel()` of W (n_act, n_obs), then the bias (n_act,) if there is one.
    filter : Filter
        What an observation goes through first; the identity unless observations are normalised.
    """

    def __init__(self, structure: LinearPolicy, env: CompiledEnv, clip_actions: bool, backend: str) -> None:
        self.structure = structure
        self.observation_space = env.observation_space
        self.action_space = env.action_space
        self.weights: FloatArray = np.zeros(n_weights(structure, env))
        self.filter: Filter = identity_filter(env.n_obs)
        self._clip_actions = clip_actions
        self._backend = backend

    def parameters_to_vector(self) -> FloatArray:
        """A copy of the flat weights, float64."""
        return self.weights.copy()

    def load_from_vector(self, weights: Any) -> None:
        """Set the flat weights.

        Raises
        ------
        ValueError
            If their number is wrong or one of them is not finite; the policy is then unchanged.
        """
        vector = np.array(weights, dtype=np.float64).ravel()
        if vector.shape != self.weights.shape:
            raise ValueError(f"weights must have {self.weights.size} entries, got {vector.size}")
        if not np.isfinite(vector).all():
            raise ValueError("weights must be finite")
        self.weights = vector

    def predict(self, observation: Any) -> np.ndarray:
        """Actions for one observation, shape `observation_space.shape`, or for a batch of them.

        Returns
        -------
        ndarray
            int64 of shape () or (n,) for a Discrete space, float32 of shape (n_act,) or (n, n_act) for a Box.

        Raises
        ------
        ValueError
            If the observation has another shape.
        """
        observations = np.asarray(observation, dtype=self.observation_space.dtype)
        shape = self.observation_space.shape
        if observations.shape != shape and observations.shape[1:] != shape:
            raise ValueError(f"observation must have shape {shape} or (n, *{shape}), got {observations.shape}")
        batch = np.ascontiguousarray(observations.reshape(-1, int(np.prod(shape))))
        ops = kernels if self._backend == "numba" else reference
        with HeldSignals():
            scores = ops.linear_actions(self.weights, batch, self.filter, self.structure.with_bias)
        actions = self._actions(scores)
        return actions if observations.shape != shape else actions[0]

    def _actions(self, scores: FloatArray) -> np.ndarray:
        """Actions from scores (n, n_act), as `_protocol.choose` takes them."""
        space = self.action_space
        if hasattr(space, "n"):
            return int(space.start) + np.argmax(scores, axis=1)
        with np.errstate(over="ignore"):  # a score beyond float32 is infinite, and clipped
            actions = scores.astype(np.float32)
        return np.clip(actions, space.low.ravel(), space.high.ravel()) if self._clip_actions else actions

"""The policy of a run: weights, filter and action space, with `predict` in the arithmetic of the rollout kernels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from gymnasium.spaces import Discrete

from fastars._compiled.structs import (
    Filter,
    FloatArray,
    Identity,
    LinearPolicy,
    MlpPolicy,
    Relu,
    Swish,
    Tanh,
    identity_filter,
)
from fastars._runtime.floats import IeeeFloats
from fastars._runtime.signals import HeldSignals
from fastars._validate import did_you_mean, user_facing
from fastars.envs import CompiledEnv
from fastars.envs.env_tuple import EnvTuple
from fastars.envs.gym import GymEnv
from fastars.envs.returned import real_array
from fastars.envs.spaces import action_form, action_rows, batched_actions, flat_batch, flattener, is_batch
from fastars.kernels.policy_layout import layer_sizes, n_weights
from fastars.training.backends import backend_module
from fastars.training.config import Config
from fastars.training.setting_checks import ACTIVATIONS, POLICY_KWARGS

_CLASSES = {"ARSPolicy": "MlpPolicy", "ARSLinearPolicy": "LinearPolicy"}  # of stable-baselines3-contrib
_ACTIVATIONS: dict[str, Relu | Tanh | Swish | Identity] = {
    "relu": Relu(),
    "tanh": Tanh(),
    "swish": Swish(),
    "linear": Identity(),
}


def policy_settings(policy: Any, policy_kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the fields of `Config` for the name of a policy and its keyword arguments.

    Raises
    ------
    ValueError
        For an unknown name or keyword argument; the message lists the allowed ones.
    """
    policy = _CLASSES.get(getattr(policy, "__name__", ""), policy)
    if not isinstance(policy, str) or policy not in POLICY_KWARGS:
        near = did_you_mean(policy, POLICY_KWARGS)
        raise ValueError(f"policy must be one of {', '.join(map(repr, POLICY_KWARGS))}, got {policy!r}{near}")
    given = dict(policy_kwargs or {})
    known = POLICY_KWARGS[policy]
    if unknown := [name for name in given if name not in known]:
        raise ValueError(f"policy_kwargs of {policy} are {', '.join(known)}; got {', '.join(map(repr, unknown))}")
    for name in ("with_bias", "squash_output"):
        if given.get(name, False) not in (True, False):
            raise TypeError(f"policy_kwargs: {name} must be True or False, got {given[name]!r}")
    if "activation_fn" in given:
        given["activation_fn"] = _activation_name(given["activation_fn"])
    if policy == "LinearPolicy":
        return {"policy": policy, **given}  # the preset decides what is not given
    return {"policy": policy, **known, **given}


def _activation_name(activation: Any) -> str:
    """Return the name of an activation, given as its name or as the class of PyTorch, such as `torch.nn.ReLU`."""
    given = getattr(activation, "__name__", str(activation)).lower()
    for name, of_torch in ACTIVATIONS.items():
        if given in (name, of_torch.lower()):
            return name
    raise ValueError(f"policy_kwargs: activation_fn must be one of {', '.join(map(repr, ACTIVATIONS))}, got {activation!r}")


def policy_structure(config: Config) -> LinearPolicy | MlpPolicy:
    """Return the policy of a run as the kernels take it."""
    if config.policy == "LinearPolicy":
        return LinearPolicy(config.with_bias)
    return MlpPolicy(config.net_arch, _ACTIVATIONS[config.activation_fn], config.with_bias)


def zero_weights(structure: LinearPolicy | MlpPolicy, env: CompiledEnv | GymEnv | EnvTuple) -> FloatArray:
    """Return weights of zero to start from, (n_weights,)."""
    return np.zeros(n_weights(structure, env.n_obs, env.n_act))


def random_weights(
    structure: LinearPolicy | MlpPolicy, env: CompiledEnv | GymEnv | EnvTuple, generator: np.random.Generator
) -> FloatArray:
    """Return weights to start from, (n_weights,): uniform within +- 1 / sqrt(inputs of the layer)."""
    pieces = [
        generator.uniform(-1.0 / math.sqrt(n_in), 1.0 / math.sqrt(n_in), (n_in + structure.with_bias) * n_out)
        for n_in, n_out in itertools.pairwise(layer_sizes(structure, env.n_obs, env.n_act))
    ]
    return np.concatenate(pieces)


class PolicyValues(Protocol):
    """The numbers of a policy, which training moves."""

    theta: FloatArray  # (n_weights,)

    @property
    def filter(self) -> Filter:
        """The filter of observations."""


class FixedValues:
    """The numbers of a policy that nobody trains."""

    def __init__(self, theta: FloatArray, filter: Filter) -> None:
        self.theta, self.filter = theta, filter


def _no_model() -> None:
    """Stand for the model of a policy that belongs to none."""


class Policy:
    """A policy for one environment.

    Attributes
    ----------
    weights : ndarray of float64, shape (n_weights,)
        Layer after layer `W.ravel()` of W (outputs, inputs), then its bias (outputs,) if there is one.
    filter : Filter
        Applied to an observation first; the identity unless observations are normalised. Read-only: it follows from the
        statistics of the run.
    """

    device = "cpu"

    def __init__(
        self,
        env: CompiledEnv | GymEnv | EnvTuple,
        config: Config,
        values: PolicyValues,
        backend: str,
        sees_normalized: bool = False,
    ) -> None:
        self.structure = policy_structure(config)
        self.observation_space = env.observation_space
        self.action_space = env.action_space
        self.squash_output = config.squash_output
        self.sees_normalized = sees_normalized  # True if observations come through a normaliser of the user's, and not raw
        self.trainer: Callable[[], Any] = _no_model  # returns the model that trains this policy, if there is one
        self._form = action_form(env.action_space, config.clip_actions, config.squash_output)
        self._values = values
        self._backend = backend

    def belong_to(self, values: PolicyValues, trainer: Callable[[], Any]) -> None:
        """Read the weights and the filter from these values; `trainer` returns the model that moves them."""
        self._values, self.trainer = values, trainer

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of a copy, which belongs to no model."""
        values = FixedValues(self.weights.copy(), self.filter)
        return {**vars(self), "trainer": _no_model, "_values": values}

    @property
    def weights(self) -> FloatArray:
        """Flat weights, float64 (n_weights,)."""
        return self._values.theta

    @weights.setter
    def weights(self, weights: Any) -> None:
        self.load_from_vector(weights)

    @property
    def filter(self) -> Filter:
        """The filter of observations."""
        return self._values.filter

    def parameters_to_vector(self) -> FloatArray:
        """Return a copy of the flat weights, float64."""
        return self.weights.copy()

    @user_facing
    def load_from_vector(self, weights: Any) -> None:
        """Set the flat weights.

        Raises
        ------
        ValueError
            If their number is wrong or one of them is not finite; the policy is then unchanged.
        """
        try:
            vector = np.array(weights, dtype=np.float64).ravel()
        except (TypeError, ValueError):
            raise TypeError(f"weights must be numbers, got {weights!r}") from None
        if vector.shape != self.weights.shape:
            raise ValueError(f"weights must have {self.weights.size} entries, got {vector.size}")
        if not np.isfinite(vector).all():
            raise ValueError("weights must be finite")
        self._values.theta = vector

    def set_training_mode(self, mode: bool) -> None:
        """Do nothing, for scripts that call it: the policy acts the same way while it trains."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """Return actions for one observation, or for a batch of observations as `gymnasium.vector` stacks them.

        Parameters
        ----------
        observation : array_like, or dict or tuple of them
            One of `observation_space`, or n of them.
        state, episode_start, deterministic
            Without effect: the policy has no memory, and its actions are not drawn.

        Returns
        -------
        actions : ndarray
            An action of `action_space`, or n of them. The same bits as in a rollout.
        state : object
            `state`.

        Raises
        ------
        ValueError
            If the observation has another shape.
        TypeError
            If it is not of real numbers.
        """
        space = self.observation_space
        if space.dtype is not None:  # a number such as 0.1 is rounded as the environment rounds it
            observation = np.asarray(real_array("observation", observation), dtype=space.dtype)
        if is_batch(space, observation):
            return self.act(flat_batch(space, observation)), state
        actions = self.act(np.array([flattener(space)(observation)], np.float64))
        one = actions[0] if isinstance(self.action_space, Discrete) else actions[0, ...]  # an array, even of a Box without axes
        return one, state

    def act(self, observations: FloatArray) -> np.ndarray:
        """Return actions for flat observations (n, n_obs), float64."""
        backend = backend_module(self._backend)
        out = action_rows(self.action_space, len(observations))
        with HeldSignals(), IeeeFloats():
            filter = identity_filter(observations.shape[1]) if self.sees_normalized else self.filter
            scores = backend.batch_action_scores(self.structure, self.weights, observations, filter)
            backend.fill_actions(*self._form, scores, out)
        return batched_actions(self.action_space, out)

"""The policy of a run: weights, filter and action space, with `predict` in the arithmetic of the rollout kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from fastars._compiled.structs import Filter, FloatArray, LinearPolicy, MlpPolicy, identity_filter
from fastars._runtime.floats import IeeeFloats
from fastars._runtime.signals import HeldSignals
from fastars._validate import positive_int, user_facing
from fastars.envs.spaces import action_form, action_rows, batched_actions, flat_batch, flat_size, flattener, is_batch, n_scores
from fastars.kernels.policy_layout import n_weights
from fastars.training import policy_file
from fastars.training.backends import backend_module
from fastars.training.config import Config
from fastars.training.observations import checked_observation
from fastars.training.policy_names import ModuleNames
from fastars.training.policy_structure import ACTIVATION_TYPES, activation_name, activation_of


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


class ARSPolicy(ModuleNames):
    """A policy with hidden layers.

    The constructor takes what stable-baselines3-contrib's class of this name takes. A subclass whose constructor gives it other
    layers is an argument of `ARS`: `ARS(Subclass, env)` trains such a policy.

    Parameters
    ----------
    observation_space, action_space : gymnasium.Space
        Spaces of the environment.
    net_arch : sequence of int, optional
        Units of the hidden layers. Default: [64, 64].
    activation_fn : {"relu", "tanh"} or class
        Function of the hidden units; a class such as `torch.nn.Tanh` stands for its name.
    with_bias : bool
        True: the layers have biases.
    squash_output : bool
        Put the actions of a Box between its bounds by a tanh.

    Attributes
    ----------
    weights : ndarray of float64, shape (n_weights,)
        Layer after layer `W.ravel()` of W (outputs, inputs), then its bias (outputs,) if there is one.
    filter : Filter
        Applied to an observation first; the identity unless observations are normalised. Read-only: it follows from the
        statistics of the run.
    """

    @user_facing
    def __init__(
        self,
        observation_space: Any,
        action_space: Any,
        net_arch: Sequence[int] | None = None,
        activation_fn: Any = "relu",
        with_bias: bool = True,
        squash_output: bool = True,
    ) -> None:
        layers = tuple(positive_int("net_arch", n) for n in ((64, 64) if net_arch is None else net_arch))
        activation = ACTIVATION_TYPES[activation_name(activation_fn)]
        self._begin(observation_space, action_space, MlpPolicy(layers, activation, with_bias), squash_output)

    def _begin(self, observation_space: Any, action_space: Any, structure: LinearPolicy | MlpPolicy, squashes: bool) -> None:
        """Make a policy of zeros that belongs to no model."""
        self.observation_space, self.action_space, self.structure = observation_space, action_space, structure
        self.squashes = squashes
        self.n_obs, self.n_act = flat_size(observation_space), n_scores(action_space)
        self.trainer: Callable[[], Any] = _no_model  # returns the model that trains this policy, if there is one
        self.act_as_in(clip_actions=True, backend="numba", sees_normalized=False)
        zeros = np.zeros(n_weights(structure, self.n_obs, self.n_act))
        self._values: PolicyValues = FixedValues(zeros, identity_filter(self.n_obs))

    def belong_to(self, values: PolicyValues, trainer: Callable[[], Any]) -> None:
        """Read the weights and the filter from these values; `trainer` returns the model that moves them."""
        self._values, self.trainer = values, trainer

    def act_as_in(self, clip_actions: bool, backend: str, sees_normalized: bool) -> None:
        """Compute actions as the rollouts of a run with these settings do."""
        self._form = action_form(self.action_space, clip_actions, self.squashes)
        self._clip_actions, self._backend = clip_actions, backend
        self.sees_normalized = sees_normalized  # True if observations come through a normaliser of the user's, and not raw

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

    @user_facing
    def save(self, path: Any) -> None:
        """Write this policy alone to a file: what `predict` takes, and nothing of the run.

        Parameters
        ----------
        path : str, path or binary file
            No suffix is added. `ARS.save` writes the whole run, which can go on.

        Raises
        ------
        OSError
            If the file can't be written.
        ValueError
            If a file can't hold its spaces.
        """
        layers: dict[str, Any] = {"with_bias": self.with_bias, "squash_output": self.squashes}
        if isinstance(self.structure, MlpPolicy):
            layers |= {"net_arch": self.net_arch, "activation_fn": activation_of(self.structure)}
        acting = self.weights, self.filter, self._clip_actions, self._backend, self.sees_normalized
        policy_file.save(path, policy_file.StoredPolicy(self.observation_space, self.action_space, layers, *acting))

    @classmethod
    @user_facing
    def load(cls, path: Any, device: Any = "auto") -> ARSPolicy:
        """Return a policy from a file of `save`; it belongs to no model. Nothing in the file is executed.

        Parameters
        ----------
        path : str, path or binary file
            The file.
        device
            Without effect.

        Raises
        ------
        fastars.CheckpointError
            If the file holds no policy.
        ValueError
            If it holds a policy of the other class.
        """
        stored = policy_file.load(path)
        kind = ARSPolicy if "net_arch" in stored.layers else ARSLinearPolicy
        if cls is not ARSPolicy and issubclass(cls, ARSLinearPolicy) != (kind is ARSLinearPolicy):
            raise ValueError(f"the policy in the file is of the class {kind.__name__}: use {kind.__name__}.load(path)")
        policy = kind(stored.observation_space, stored.action_space, **stored.layers)
        policy.act_as_in(stored.clip_actions, stored.backend, stored.sees_normalized)
        policy.belong_to(FixedValues(stored.weights, stored.filter), _no_model)
        return policy

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
            vector = np.array(np.asarray(weights), dtype=np.float64).ravel()  # asarray: tensors know no argument "copy"
        except (TypeError, ValueError):
            raise TypeError(f"weights must be numbers, got {weights!r}") from None
        if vector.shape != self.weights.shape:
            raise ValueError(f"weights must have {self.weights.size} entries, got {vector.size}")
        if not np.isfinite(vector).all():
            raise ValueError("weights must be finite")
        self._values.theta = vector

    @user_facing
    def is_vectorized_observation(self, observation: Any) -> bool:
        """Return True for a batch of observations, False for one."""
        return is_batch(self.observation_space, checked_observation(self.observation_space, observation))

    @user_facing
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
            An action of `action_space`, or n of them. A Discrete action is an array without axes. The same bits as in a rollout.
        state : object
            `state`.

        Raises
        ------
        ValueError
            If the observation has another shape, or is all that `reset` or `step` returned.
        TypeError
            If it is not of real numbers.
        """
        space = self.observation_space
        observation = checked_observation(space, observation)
        if is_batch(space, observation):
            return self.act(flat_batch(space, observation)), state
        actions = self.act(np.array([flattener(space)(observation)], np.float64))
        return actions[0, ...], state

    def act(self, observations: FloatArray) -> np.ndarray:
        """Return actions for flat observations (n, n_obs), float64."""
        backend = backend_module(self._backend)
        out = action_rows(self.action_space, len(observations))
        with HeldSignals(), IeeeFloats():
            filter = identity_filter(observations.shape[1]) if self.sees_normalized else self.filter
            scores = backend.batch_action_scores(self.structure, self.weights, observations, filter)
            backend.fill_actions(*self._form, scores, out)
        return batched_actions(self.action_space, out)


class ARSLinearPolicy(ARSPolicy):
    """A policy whose scores are linear in the observation.

    Parameters
    ----------
    observation_space, action_space : gymnasium.Space
        Spaces of the environment.
    with_bias : bool
        True: each score has a bias.
    squash_output : bool
        Put the actions of a Box between its bounds by a tanh.
    """

    @user_facing
    def __init__(self, observation_space: Any, action_space: Any, with_bias: bool = False, squash_output: bool = False) -> None:
        self._begin(observation_space, action_space, LinearPolicy(with_bias), squash_output)


def policy_of_run(env: Any, config: Config, values: PolicyValues, backend: str, sees_normalized: bool = False) -> ARSPolicy:
    """Return the policy of a run, which acts as its rollouts do.

    Parameters
    ----------
    env : CompiledEnv, GymEnv, EnvTuple or AbsentEnv
        The environment, for its spaces.
    config : Config
        The settings.
    values : PolicyValues
        Weights and filter.
    backend : {"numba", "numpy"}
        It computes the actions.
    sees_normalized : bool
        True if observations come through a normaliser of the user's.
    """
    kind = ARSLinearPolicy if config.policy == "LinearPolicy" else ARSPolicy
    policy = kind(env.observation_space, env.action_space, **config.arguments()["policy_kwargs"])
    policy.act_as_in(config.clip_actions, backend, sees_normalized)
    policy.belong_to(values, _no_model)
    return policy

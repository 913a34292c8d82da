"""The policy that `get_policy` of RLlib's algorithms returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastars._compiled.structs import Filter, FloatArray
from fastars._validate import user_facing
from fastars.ars import ARS
from fastars.rllib.network import Network

POLICY_ID = "default_policy"  # the only one


class Policy:
    """The policy of a model, with RLlib's methods.

    Attributes
    ----------
    model : Network
        The network.
    config : dict
        The settings of the algorithm.
    num_params : int
        Number of weights. RLlib counts those of a value function, too, which ARS never trains.
    observation_space, action_space : gymnasium.Space
    """

    def __init__(self, model: ARS, config: dict[str, Any]) -> None:
        self._model, self.config = model, config
        self.model = Network(model, config["model"])
        self.num_params = model.n_weights
        self.observation_space, self.action_space = model.observation_space, model.action_space

    @property
    def observation_filter(self) -> Filter:
        """Mean and scale of the observations."""
        return self._model.policy.filter

    def get_weights(self) -> dict[str, FloatArray]:
        """Return copies of the weights by layer, float64; the names are those of RLlib's networks in PyTorch."""
        return self.model.state_dict()

    @user_facing
    def set_weights(self, weights: Any) -> None:
        """Set weights by layer, as `get_weights` returns them, or flat weights, shape (num_params,)."""
        if isinstance(weights, Mapping):
            self.model.load_state_dict(weights)
        else:
            self.set_flat_weights(weights)

    def get_flat_weights(self) -> FloatArray:
        """Return a copy of the weights, float64 (num_params,); RLlib's are float32."""
        return self._model.policy.parameters_to_vector()

    @user_facing
    def set_flat_weights(self, x: Any) -> None:
        """Set the weights, shape (num_params,)."""
        self._model.policy.load_from_vector(x)

    def get_state(self) -> dict[str, FloatArray]:
        """Return {"state": flat weights}."""
        return {"state": self.get_flat_weights()}

    @user_facing
    def set_state(self, state: Mapping[str, Any]) -> None:
        """Set weights that `get_state` returned."""
        self.set_flat_weights(state["state"])

    def compute_actions(self, observations: Any, *args: Any, **kwargs: Any) -> tuple[Any, list[Any], dict[str, Any]]:
        """Return (actions, [], {}) for a batch of observations. No noise is added, and the filter does not change."""
        return self._model.predict(np.asarray(observations))[0], [], {}

    def compute_actions_from_input_dict(
        self, input_dict: Mapping[str, Any], *args: Any, **kwargs: Any
    ) -> tuple[Any, list[Any], dict[str, Any]]:
        """Return (actions, [], {}) for the batch of observations in `input_dict["obs"]`."""
        return self.compute_actions(input_dict["obs"])

    def compute_single_action(self, observation: Any, *args: Any, **kwargs: Any) -> tuple[Any, list[Any], dict[str, Any]]:
        """Return (action, [], {}) for one observation."""
        return np.asarray(self._model.predict(observation)[0])[()], [], {}  # one of Discrete is a number, as in RLlib

    def is_recurrent(self) -> bool:
        """Return False: the policy has no memory."""
        return False

    def get_initial_state(self) -> list[Any]:
        """Return []: the policy has no memory."""
        return []

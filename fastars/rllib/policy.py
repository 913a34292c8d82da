"""What `get_policy` of RLlib's algorithms gives."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastars
from fastars._compiled.structs import FloatArray

POLICY_ID = "default_policy"  # the only one


class Policy:
    """What `ARS.get_policy` gives."""

    def __init__(self, model: fastars.ARS) -> None:
        self._model = model
        self.num_params = model.n_weights
        self.observation_space, self.action_space = model.observation_space, model.action_space

    def get_flat_weights(self) -> FloatArray:
        """A copy of the weights, float64 (num_params,); RLlib's are float32."""
        return self._model.policy.parameters_to_vector()

    def set_flat_weights(self, x: Any) -> None:
        """Set the weights."""
        self._model.policy.load_from_vector(x)

    get_weights, set_weights = get_flat_weights, set_flat_weights

    def compute_actions(self, observations: Any, *args: Any, **kwargs: Any) -> tuple[Any, list[Any], dict[str, Any]]:
        """(actions, [], {}) for a batch of observations. Nothing is added to them, and the filter does not change."""
        return self._model.predict(np.asarray(observations))[0], [], {}

    def compute_single_action(self, observation: Any, *args: Any, **kwargs: Any) -> tuple[Any, list[Any], dict[str, Any]]:
        """(action, [], {}) for an observation."""
        return self._model.predict(observation)[0], [], {}

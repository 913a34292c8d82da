"""The policy that `get_policy` of RLlib's algorithms returns."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._validate import user_facing
from fastars.ars import ARS

POLICY_ID = "default_policy"  # the only one


class Policy:
    """The policy of a model, with RLlib's methods.

    Attributes
    ----------
    num_params : int
        Number of weights.
    observation_space, action_space : gymnasium.Space
    """

    def __init__(self, model: ARS) -> None:
        self._model = model
        self.num_params = model.n_weights
        self.observation_space, self.action_space = model.observation_space, model.action_space

    def get_flat_weights(self) -> FloatArray:
        """Return a copy of the weights, float64 (num_params,); RLlib's are float32."""
        return self._model.policy.parameters_to_vector()

    @user_facing
    def set_flat_weights(self, x: Any) -> None:
        """Set the weights, shape (num_params,)."""
        self._model.policy.load_from_vector(x)

    get_weights, set_weights = get_flat_weights, set_flat_weights

    def compute_actions(self, observations: Any, *args: Any, **kwargs: Any) -> tuple[Any, list[Any], dict[str, Any]]:
        """Return (actions, [], {}) for a batch of observations. No noise is added, and the filter does not change."""
        return self._model.predict(np.asarray(observations))[0], [], {}

    def compute_single_action(self, observation: Any, *args: Any, **kwargs: Any) -> tuple[Any, list[Any], dict[str, Any]]:
        """Return (action, [], {}) for one observation."""
        return self._model.predict(observation)[0][()], [], {}

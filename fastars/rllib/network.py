"""The network of a policy, with the names of layers that RLlib gives in PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fastars import kernels
from fastars._compiled.structs import FloatArray
from fastars._validate import did_you_mean, user_facing
from fastars.ars import ARS
from fastars.kernels.policy_layout import layer_sizes
from fastars.training.policy_modules import detached
from fastars.training.policy_structure import layers_of_policy


class Network:
    """The network of a policy, as `policy.model`. There is no value function: ARS never trains RLlib's.

    Attributes
    ----------
    obs_space, action_space : gymnasium.Space
    num_outputs : int
        Number of scores.
    model_config : dict
        `model` of the settings.
    name : str
    """

    name = "default_model"

    def __init__(self, model: ARS, model_config: dict[str, Any]) -> None:
        self._model = model
        self.obs_space, self.action_space = model.observation_space, model.action_space
        self.num_outputs, self.model_config = self._sizes[-1], model_config

    @property
    def _sizes(self) -> tuple[int, ...]:
        env = self._model.run.env
        return tuple(layer_sizes(self._model.run.policy, env.n_obs, env.n_act))

    def _views(self, theta: FloatArray) -> Iterator[tuple[str, FloatArray]]:
        """Yield views of flat weights by name."""
        layers = layers_of_policy(theta, self._sizes, self._model.run.policy.with_bias)
        for layer, (matrix, bias) in enumerate(layers):
            name = f"_hidden_layers.{layer}" if layer < len(layers) - 1 else "_logits"
            yield f"{name}._model.0.weight", matrix
            if bias is not None:
                yield f"{name}._model.0.bias", bias

    def state_dict(self) -> dict[str, FloatArray]:
        """Return copies of the weights by name, float64: "_hidden_layers.0._model.0.weight", ..., "_logits._model.0.bias"."""
        return dict(self._views(self._model.policy.parameters_to_vector()))

    @user_facing
    def load_state_dict(self, weights: Mapping[str, Any]) -> None:
        """Set weights that `state_dict` returned; arrays or tensors.

        Raises
        ------
        ValueError
            For missing or unknown names, and for other shapes; nothing is then changed.
        """
        theta = self._model.policy.parameters_to_vector()
        views = dict(self._views(theta))
        for name in views.keys() ^ weights.keys():
            what = "an unknown" if name in weights else "no"
            raise ValueError(f"weights have {what} {name!r}{did_you_mean(name, views) if name in weights else ''}")
        for name, view in views.items():
            values = np.asarray(detached(weights[name]), np.float64)
            if values.shape != view.shape:
                raise ValueError(f"{name} must have shape {view.shape}, got {values.shape}")
            view[...] = values
        self._model.policy.load_from_vector(theta)

    def variables(self, as_dict: bool = False) -> list[FloatArray] | dict[str, FloatArray]:
        """Return copies of the weights of the layers, as a list or by name."""
        found = self.state_dict()
        return found if as_dict else list(found.values())

    trainable_variables = variables

    def parameters(self) -> Iterator[FloatArray]:
        """Yield copies of the weights of the layers."""
        yield from self.state_dict().values()

    def get_initial_state(self) -> list[Any]:
        """Return []: the network has no memory."""
        return []

    def __call__(self, input_dict: Mapping[str, Any], state: Any = (), seq_lens: Any = None) -> tuple[FloatArray, list[Any]]:
        """Return (scores, []), float64 (m, num_outputs), of the filtered observations in `input_dict["obs"]`."""
        rows = np.asarray(input_dict["obs"], np.float64)
        rows = rows.reshape(len(rows), -1)
        unfiltered = kernels.identity_filter(rows.shape[1])
        return kernels.batch_action_scores(self._model.run.policy, self._model.theta, rows, unfiltered), []

    def __repr__(self) -> str:
        rows = [f"  ({name}): {' x '.join(map(str, weights.shape))}" for name, weights in self.state_dict().items()]
        return "\n".join([f"{type(self).__name__}(", *rows, ")"])

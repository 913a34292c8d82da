"""The names by which scripts read a policy of stable-baselines3-contrib, a module of PyTorch, on a policy of arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from gymnasium.spaces import Box

from fastars._compiled.structs import FloatArray, LinearPolicy, MlpPolicy
from fastars._validate import user_facing
from fastars.training.policy_modules import (
    ActionNet,
    FlattenExtractor,
    activation_class,
    cpu_device,
    named_weights,
    printed,
    readable,
    set_by_name,
)
from fastars.training.policy_structure import activation_of

_PREDICT = "policy.predict(observation), which takes and returns arrays"
# Names of PyTorch's modules, and of policies of stable-baselines3, that a policy of arrays does not have.
_INSTEAD = {
    **dict.fromkeys(("forward", "_predict", "extract_features", "obs_to_tensor"), _PREDICT),
    **dict.fromkeys(("optimizer", "optimizer_class"), "model.config.optimizer; the step is computed without PyTorch"),
    "mlp_extractor": "policy.action_net",
    **dict.fromkeys(("value_net", "predict_values", "evaluate_actions"), "model.evaluate(); ARS learns no values"),
    **dict.fromkeys(("get_distribution", "action_dist", "log_std"), "policy.predict; ARS draws no actions"),
    **dict.fromkeys(("children", "modules", "named_children", "named_modules"), "policy.action_net, a sequence of the layers"),
}


class ModuleNames:
    """Attributes and methods of a policy under the names of PyTorch and stable-baselines3. None of them is a state of its own."""

    normalize_images = False  # as no image is divided by 255
    training = False

    observation_space: Any
    action_space: Any
    structure: LinearPolicy | MlpPolicy
    squashes: bool  # also where the action space has nothing to squash
    n_obs: int
    n_act: int
    weights: FloatArray

    if TYPE_CHECKING:

        def load_from_vector(self, weights: Any) -> None: ...  # noqa: D102

    # --- Weights

    def named_arrays(self) -> dict[str, FloatArray]:
        """Return views of the present weights by their names in stable-baselines3-contrib; nobody may write to them."""
        return dict(named_weights(self.structure, self.n_obs, self.n_act, self.weights))

    def state_dict(self) -> dict[str, Any]:
        """Return copies of the weights by name: arrays, or tensors of float32 if the program has imported PyTorch."""
        return {name: readable(value.copy()) for name, value in self.named_arrays().items()}

    @user_facing
    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> None:
        """Set weights by name, from arrays or tensors; for names and shapes that don't fit see `ARS.set_parameters`."""
        weights = self.weights.copy()
        set_by_name(dict(named_weights(self.structure, self.n_obs, self.n_act, weights)), state_dict, strict)
        self.load_from_vector(weights)

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """Yield (name, weights) of each layer, as `state_dict` has them."""
        yield from self.state_dict().items()

    def parameters(self) -> Iterator[Any]:
        """Yield the weights of each layer."""
        yield from self.state_dict().values()

    # --- Layers

    @property
    def action_net(self) -> ActionNet:
        """The layers: `action_net[i].weight` and `.bias`; between them the activations."""
        return ActionNet(self)

    @property
    def features_extractor(self) -> FlattenExtractor:
        """The module before the first layer: it flattens observations."""
        return FlattenExtractor(self.n_obs)

    @property
    def features_dim(self) -> int:
        """Entries of a flattened observation."""
        return self.n_obs

    @property
    def net_arch(self) -> list[int]:
        """Units of the hidden layers."""
        return list(getattr(self.structure, "net_arch", ()))

    @property
    def activation_fn(self) -> Any:
        """Name of the function of the hidden units; its class in PyTorch, if the program has imported PyTorch."""
        return activation_class(activation_of(self.structure))

    @property
    def with_bias(self) -> bool:
        """True if the layers have biases."""
        return self.structure.with_bias

    @property
    def squash_output(self) -> bool:
        """True if a tanh puts the actions between the bounds of their space, a Box."""
        return self.squashes and isinstance(self.action_space, Box)

    @property
    def device(self) -> Any:
        """The CPU: PyTorch's device if the program has imported PyTorch, else "cpu"."""
        return cpu_device()

    def __repr__(self) -> str:
        modules = {"features_extractor": self.features_extractor, "action_net": self.action_net}
        return printed(type(self).__name__, modules)

    # --- Methods

    def scale_action(self, action: Any) -> np.ndarray:
        """Return an action of a Box, between its bounds, as one between -1 and 1."""
        low, high = self._bounds()
        return 2.0 * ((np.asarray(action) - low) / (high - low)) - 1.0

    def unscale_action(self, scaled_action: Any) -> np.ndarray:
        """Return an action between -1 and 1 as one between the bounds of the Box."""
        low, high = self._bounds()
        return low + 0.5 * (np.asarray(scaled_action) + 1.0) * (high - low)

    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        if not isinstance(self.action_space, Box):
            raise ValueError(f"the action space must be a Box, with bounds to scale between, got {self.action_space}")
        return self.action_space.low, self.action_space.high

    def set_training_mode(self, mode: bool) -> None:
        """Do nothing, for scripts that call it: the policy acts the same way while it trains."""

    def train(self, mode: bool = True) -> Self:
        """Return the policy, which acts the same way while it trains."""
        return self

    def eval(self) -> Self:
        """Return the policy, which acts the same way while it trains."""
        return self

    def cpu(self) -> Self:
        """Return the policy, which is there."""
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Return the policy: its numbers are float64, on the CPU."""
        return self

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            instead = f": use {_INSTEAD[name]}" if name in _INSTEAD else ""
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{instead}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Raise a TypeError: a policy is no module of PyTorch."""
        raise TypeError(f"a policy is no module of PyTorch, and can't be called: use {_PREDICT}")

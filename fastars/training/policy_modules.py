"""The layers of a policy, read as the modules of PyTorch that policies of stable-baselines3-contrib consist of.

fastars imports no PyTorch. Weights are arrays that can't be written to. Where the program has imported PyTorch they are tensors of
float32, as there: copies, so writing to one changes no policy. Assign to `weight` or `bias`, or call `load_state_dict`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from fastars._compiled.structs import FloatArray, LinearPolicy, MlpPolicy
from fastars.kernels.policy_layout import layer_sizes
from fastars.training.policy_structure import activation_of, layers_of_policy
from fastars.training.setting_checks import ACTIVATIONS

# Names of a linear policy in files of stable-baselines3-contrib before 1.7.
_OLD_NAMES = {"action_net.weight": "action_net.0.weight", "action_net.bias": "action_net.0.bias"}


class ParameterMismatchError(ValueError, RuntimeError):
    """Parameters do not fit the policy; the message names them. It is a RuntimeError too, as PyTorch's `load_state_dict` raises."""


def named_weights(
    structure: LinearPolicy | MlpPolicy, n_obs: int, n_act: int, weights: FloatArray
) -> Iterator[tuple[str, FloatArray]]:
    """Yield views of flat weights by name: modules 0, 2, 4, ... are linear, the modules between them activations."""
    for layer, (matrix, bias) in enumerate(layers_of_policy(weights, layer_sizes(structure, n_obs, n_act), structure.with_bias)):
        yield f"action_net.{2 * layer}.weight", matrix
        if bias is not None:
            yield f"action_net.{2 * layer}.bias", bias


def set_by_name(known: Mapping[str, FloatArray], given: Mapping[str, Any], exact_match: bool) -> None:
    """Write given parameters into the arrays of the same names.

    Parameters
    ----------
    known : mapping of str to ndarray
        The parameters of a policy, as `named_weights` yields them.
    given : mapping of str to array_like or tensor
        New values.
    exact_match : bool
        False: missing and unknown names are passed over.

    Raises
    ------
    ParameterMismatchError
        For missing or unknown names, and for other shapes. Nothing is written then.
    """
    values = {_OLD_NAMES.get(name, name): np.asarray(detached(value), np.float64) for name, value in given.items()}
    missing, unknown = sorted(known.keys() - values.keys()), sorted(values.keys() - known.keys())
    if exact_match and (missing or unknown):
        raise ParameterMismatchError(
            f"parameters don't match the policy: missing {', '.join(missing) or 'none'}; unknown {', '.join(unknown) or 'none'}"
        )
    common = values.keys() & known.keys()
    for name in sorted(common):
        if values[name].shape != known[name].shape:
            raise ParameterMismatchError(f"{name} must have shape {known[name].shape}, got {values[name].shape}")
    for name in common:
        known[name][...] = values[name]


def detached(value: Any) -> Any:
    """Return the array of a tensor, also of one that PyTorch tracks; any other value as it is."""
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


class Weights(np.ndarray):
    """An array that can't be written to, with the methods by which scripts make an array of a tensor."""

    requires_grad = False

    def detach(self) -> Weights:
        """Return the array itself."""
        return self

    def cpu(self) -> Weights:
        """Return the array itself."""
        return self

    def numpy(self) -> np.ndarray:
        """Return a copy as a plain array."""
        return np.array(self)

    def numel(self) -> int:
        """Return the number of entries."""
        return self.size


class CpuDevice(str):
    """The device "cpu", with the `type` of PyTorch's devices."""

    __slots__ = ()
    type = "cpu"


def imported_torch() -> Any:
    """Return the module `torch` if the program has imported it, else None."""
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "as_tensor") and hasattr(torch, "device") else None


def cpu_device() -> Any:
    """Return the device of the kernels: PyTorch's, if the program has imported PyTorch, else "cpu"."""
    torch = imported_torch()
    return CpuDevice("cpu") if torch is None else torch.device("cpu")


def activation_class(name: str) -> Any:
    """Return the class of an activation in PyTorch, if the program has imported PyTorch, else its name."""
    torch = imported_torch()
    return name if torch is None else getattr(torch.nn, ACTIVATIONS[name])


def readable(weights: FloatArray) -> Any:
    """Return weights as `Weights`; as a tensor of float32, a copy, if the program has imported PyTorch."""
    torch = imported_torch()
    if torch is not None:
        return torch.as_tensor(weights.astype(np.float32))
    view = weights.view(Weights)
    view.flags.writeable = False
    return view


class LayeredPolicy(Protocol):
    """The part of a policy that its modules read and set."""

    structure: LinearPolicy | MlpPolicy

    @property
    def squash_output(self) -> bool:
        """True if a tanh follows the last layer."""

    def named_arrays(self) -> dict[str, FloatArray]:
        """Return views of the present weights, by name."""

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Any:
        """Set weights by name."""


class _Module:
    """A module without weights, known by its text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class Linear:
    """A layer of a policy."""

    def __init__(self, policy: LayeredPolicy, name: str) -> None:
        self._policy, self._name = policy, name
        self.out_features, self.in_features = policy.named_arrays()[f"{name}.weight"].shape

    @property
    def weight(self) -> Any:
        """The weights now, shape (out_features, in_features)."""
        return readable(self._policy.named_arrays()[f"{self._name}.weight"])

    @weight.setter
    def weight(self, weight: Any) -> None:
        self._policy.load_state_dict({f"{self._name}.weight": weight}, strict=False)

    @property
    def bias(self) -> Any:
        """The biases now, shape (out_features,); None if the layer has none."""
        bias = self._policy.named_arrays().get(f"{self._name}.bias")
        return None if bias is None else readable(bias)

    @bias.setter
    def bias(self, bias: Any) -> None:
        if f"{self._name}.bias" not in self._policy.named_arrays():
            raise ValueError("bias can't be set: the policy has with_bias=False")
        self._policy.load_state_dict({f"{self._name}.bias": bias}, strict=False)

    def __repr__(self) -> str:
        has_bias = self._policy.structure.with_bias
        return f"Linear(in_features={self.in_features}, out_features={self.out_features}, bias={has_bias})"


class ActionNet(Sequence[Any]):
    """The modules of a policy, from the observation to the scores: linear ones, and the activations between them."""

    def __init__(self, policy: LayeredPolicy) -> None:
        names = [name.removesuffix(".weight") for name in policy.named_arrays() if name.endswith(".weight")]
        between = _Module(f"{ACTIVATIONS[activation_of(policy.structure)]}()")
        self._modules: list[Any] = []
        for name in names:
            self._modules += [Linear(policy, name), between]
        self._modules.pop()
        if policy.squash_output:
            self._modules.append(_Module("Tanh()"))

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, index: Any) -> Any:
        return self._modules[index]

    def __repr__(self) -> str:
        return printed("Sequential", {str(i): module for i, module in enumerate(self._modules)})


class FlattenExtractor:
    """The module before the first layer: it makes rows of observations."""

    def __init__(self, features_dim: int) -> None:
        self.features_dim = features_dim

    def __call__(self, observations: Any) -> Any:
        """Return a batch of observations (n, ...) as rows (n, features_dim)."""
        return observations.reshape(len(observations), -1)

    def __repr__(self) -> str:
        return printed("FlattenExtractor", {"flatten": _Module("Flatten(start_dim=1, end_dim=-1)")})


def printed(name: str, modules: Mapping[str, Any]) -> str:
    """Return the text of a module with other modules in it, as PyTorch prints it."""
    lines = [f"  {line}" for key, module in modules.items() for line in f"({key}): {module!r}".splitlines()]
    return "\n".join([f"{name}(", *lines, ")"])

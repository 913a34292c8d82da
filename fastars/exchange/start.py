"""The policy that a new run starts from: its weights, its layers and its statistics of observations. All else is of the new run."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._validate import warn_user
from fastars.exchange import arrays, original, read_quietly, sb3
from fastars.exchange.bare_arrays import BareArrays, bare_policy
from fastars.exchange.trained import TrainedPolicy, moments_of
from fastars.files import checkpoint
from fastars.files.archives import Archive, content, npy, plain_array, reading
from fastars.files.errors import name_of
from fastars.files.opening import open_regular
from fastars.training import model_file
from fastars.training.checkpoint_validation import POLICY
from fastars.training.config import Config
from fastars.training.policy import ARSPolicy
from fastars.training.policy_classes import policy_settings
from fastars.training.policy_structure import activation_of
from fastars.training.run import Run
from fastars.training.state import ObsMoments, State

_OURS, _ARRAY = b"manifest.json", b"\x93NUMPY"
_KINDS = "a path, an array of weights, a model, or a policy that exchange.read returned"


class Start(NamedTuple):
    """A policy to start from.

    Attributes
    ----------
    name : str
        The file, for messages.
    weights : ndarray of float64, shape (n_weights,)
    sizes : tuple of int
        Entries of the observation, of each hidden layer and of the output; empty if the weights are flat, and tell no layers.
    policy : str or None
        "LinearPolicy" or "MlpPolicy"; None if the weights are flat.
    policy_kwargs : dict
        Its arguments, as far as the policy tells them.
    mean, std : ndarray of float64, shape (n_obs,), or None
        Statistics of observations; None if the policy acts on raw observations, or if there are `moments`.
    count : int or None
        Number of observations behind them; None if the file does not say it.
    moments : ObsMoments or None
        The same of a run of fastars, to the bit.
    """

    name: str
    weights: FloatArray
    sizes: tuple[int, ...] = ()
    policy: str | None = None
    policy_kwargs: Mapping[str, Any] = MappingProxyType({})
    mean: FloatArray | None = None
    std: FloatArray | None = None
    count: int | None = None  # type: ignore[assignment]  # tuples have a method of this name, which nobody calls
    moments: ObsMoments | None = None

    @property
    def is_normalized(self) -> bool:
        """True if the policy acts on normalised observations."""
        return self.mean is not None or self.moments is not None

    def describe(self) -> str:
        """Describe the policy in a few words."""
        kind = f"{self.weights.size} weights" if self.policy is None else f"{self.policy} with {_shape(self.sizes)}"
        return f"{kind}, on {'normalised' if self.is_normalized else 'raw'} observations"

    def settings(self, policy: Any, given: Mapping[str, Any], has_normalizer: bool = False) -> dict[str, Any]:
        """Return the arguments of `ARS` that follow from this policy, where they are not given.

        Parameters
        ----------
        policy : str or class
            The policy of the run.
        given : mapping
            Arguments of the run; None stands for one that is not given.
        has_normalizer : bool
            True if a `VecNormalize` normalises the observations of the run.

        Raises
        ------
        ValueError
            If a given argument contradicts this policy.
        """
        settings = {"policy_kwargs": self._policy_kwargs(policy, given["policy_kwargs"] or {}) or None}
        if has_normalizer:
            return settings
        wanted, variant = given["normalize_observations"], given["variant"]
        if wanted is None and variant is None:
            return {**settings, "normalize_observations": self.is_normalized}
        if variant is not None and wanted is None:
            wanted, word = str(variant).startswith("V2"), f"variant={variant!r}"
        else:
            word = f"normalize_observations={wanted}"
        if self.is_normalized and not wanted:
            raise ValueError(f"init must be a policy on raw observations with {word}; {self.name} acts on normalised ones")
        if wanted and not self.is_normalized:
            warn_user(
                f"{self.name} has no statistics of observations, and the run has {word}: its weights act on raw observations "
                "in the first iteration, and on normalised ones after it"
            )
        return settings

    def _policy_kwargs(self, policy: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        is_own_class = isinstance(policy, type) and policy.__name__ not in ("ARSPolicy", "ARSLinearPolicy")
        if self.policy is None or is_own_class:  # the number of weights is all that can be compared
            return dict(given)
        wanted = policy_settings(policy, given)
        if wanted["policy"] != self.policy:
            raise ValueError(f"policy must be {self.policy!r}, as in init={self.name}; got {wanted['policy']!r}")
        for name, value in self.policy_kwargs.items():
            if given.get(name) is not None and _plain(wanted[name]) != _plain(value):
                raise ValueError(f"policy_kwargs must have {name}={value!r}, as in init={self.name}; got {wanted[name]!r}")
        return {**self.policy_kwargs, **{name: value for name, value in given.items() if value is not None}}

    def state(self, run: Run, state: State) -> State:
        """Return the first state of a run with the weights and the statistics of this policy in it.

        Raises
        ------
        ValueError
            If the shapes of the policy do not fit the run.
        """
        env, hidden = run.env, run.config.net_arch
        wanted = env.n_obs, *hidden, env.n_act
        if self.sizes and self.sizes != wanted:
            hint = "; W is (outputs, observations)" if self.sizes == wanted[::-1] and not hidden else ""
            raise ValueError(f"init={self.name} has a policy with {_shape(self.sizes)}; {env.id} needs {_shape(wanted)}{hint}")
        if self.weights.size != run.n_weights:
            raise ValueError(
                f"init={self.name} has {self.weights.size} weights; a policy with {_shape(wanted)} has {run.n_weights}"
            )
        state = state._replace(theta=self.weights.copy())
        if not (self.is_normalized and run.config.normalize_observations):
            return state
        moments = self.moments or moments_of(self.mean, self.std, self.count, run.config)
        if len(moments.mean) != env.n_obs:
            raise ValueError(f"init={self.name} has statistics of {len(moments.mean)} observations; {env.id} has {env.n_obs}")
        return state._replace(moments=moments)


def read_start(source: Any) -> Start:
    """Return the policy to start from that a path, an array, a model or a policy stands for.

    Raises
    ------
    TypeError, ValueError
        If it is none of these, or has numbers that are not finite.
    fastars.CheckpointError
        If the file holds no policy.
    FileNotFoundError
        If there is no such file.
    """
    if isinstance(source, Start):
        return source
    if isinstance(source, TrainedPolicy):
        return _of_trained("the policy", source)
    if isinstance(source, ARSPolicy):
        return _of_policy("the policy", source)
    if isinstance(getattr(source, "policy", None), ARSPolicy) and isinstance(getattr(source, "state", None), State):
        return _of_run("the model", source.config, source.theta, source.state.moments)
    if isinstance(source, (str, os.PathLike)) or hasattr(source, "read"):
        return _of_file(source)
    try:
        weights = np.array(source, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"init must be {_KINDS}, got {source!r:.100}") from None
    return _of_bare("the array", bare_policy({"W": weights}))


def _of_file(path: Any) -> Start:
    if not hasattr(path, "read"):
        path = Path(path)
        suffixed = path.with_name(f"{path.name}.zip")
        if not path.suffix and not path.exists() and suffixed.is_file():
            path = suffixed
        if path.is_dir():
            checkpoint.load(path)  # an error that names the models in the folder
    name, head = name_of(path), _head(path)
    if head.startswith(_ARRAY):
        with reading(path):
            return _of_bare(name, bare_policy({"W": plain_array(content(path))}))
    if head[30:].startswith(_OURS) or not head.startswith(b"PK\3\4"):
        return _of_ours(path, name)
    with reading(path):
        archive = Archive(content(path))
        names = archive.names
        is_theirs = sb3.matches(names) or arrays.matches(names)
        if not is_theirs and not (original.matches(names) and npy(archive.read(names[0]))[0].kind == "O"):
            members = {member.removesuffix(".npy"): plain_array(archive.read(member)) for member in names}
            return _of_bare(name, bare_policy(members))
    trained = read_quietly(path)
    if trained.warning:
        warn_user(f"{trained.warning}. To start with its statistics, make a model of the policy first: fastars import --trust")
    return _of_trained(name, trained)


def _head(path: Any) -> bytes:
    """Return the first bytes of a file."""
    if hasattr(path, "read"):
        path.seek(0)
        head: bytes = path.read(64)
        path.seek(0)
        return head
    with reading(path), open_regular(path) as file:
        start: bytes = file.read(64)
        return start


def _of_ours(path: Any, name: str) -> Start:
    """Return the policy in a file of `ARS.save` or of `ARSPolicy.save`."""
    if checkpoint.load(path)[0].get("algorithm") == POLICY:
        return _of_policy(name, ARSPolicy.load(path))
    return _of_run(name, *model_file.policy_in(path))


def _of_run(name: str, config: Config, theta: FloatArray, moments: ObsMoments) -> Start:
    kwargs = config.arguments()["policy_kwargs"]
    sizes = _sizes(len(moments.mean), config.net_arch, theta.size, config.with_bias)
    return Start(name, theta, sizes, config.policy, kwargs, moments=moments if config.normalize_observations else None)


def _of_policy(name: str, policy: ARSPolicy) -> Start:
    kwargs: dict[str, Any] = {"with_bias": policy.with_bias, "squash_output": policy.squashes}
    hidden: tuple[int, ...] = ()
    if kind_is_mlp := hasattr(policy.structure, "net_arch"):
        hidden = tuple(policy.net_arch)
        kwargs |= {"net_arch": hidden, "activation_fn": activation_of(policy.structure)}
    filter, kind = policy.filter, "MlpPolicy" if kind_is_mlp else "LinearPolicy"
    start = Start(name, policy.weights, (policy.n_obs, *hidden, policy.n_act), kind, kwargs)
    if not filter.mean.any() and (filter.scale == 1.0).all():
        return start
    with np.errstate(divide="ignore"):
        return start._replace(mean=filter.mean, std=1.0 / filter.scale)


def _of_trained(name: str, trained: TrainedPolicy) -> Start:
    sizes = (trained.n_obs, *trained.policy_kwargs.get("net_arch", ()), trained.n_act)
    start = Start(name, trained.weights, sizes, trained.policy, trained.policy_kwargs)
    return start._replace(mean=trained.mean, std=trained.std, count=trained.count)


def _of_bare(name: str, bare: BareArrays) -> Start:
    policy, kwargs = None, dict[str, Any]()
    if bare.sizes:
        policy = "MlpPolicy" if len(bare.sizes) > 2 else "LinearPolicy"
        kwargs = {"with_bias": bare.with_bias} | ({"net_arch": bare.sizes[1:-1]} if len(bare.sizes) > 2 else {})
    return Start(name, bare.weights, bare.sizes, policy, kwargs, bare.mean, bare.std, bare.count)


def _sizes(n_obs: int, hidden: tuple[int, ...], n_weights: int, with_bias: bool) -> tuple[int, ...]:
    """Return the sizes of the layers of a policy with so many weights."""
    inner = (n_obs, *hidden)
    before = sum((n_in + with_bias) * n_out for n_in, n_out in itertools.pairwise(inner))
    return (*inner, (n_weights - before) // (inner[-1] + with_bias))


def _shape(sizes: tuple[int, ...]) -> str:
    """Write the shape of a linear policy's weights, or the sizes of the layers of a network."""
    return f"weights of shape ({sizes[-1]}, {sizes[0]})" if len(sizes) == 2 else f"layers of {', '.join(map(str, sizes))} units"


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

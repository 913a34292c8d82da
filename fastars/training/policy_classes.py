"""The settings of a policy from the name or the class that the user gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.spaces import Box

from fastars._validate import did_you_mean
from fastars.training.policy import ARSLinearPolicy, ARSPolicy
from fastars.training.policy_structure import activation_name
from fastars.training.setting_checks import POLICY_KWARGS

ALIASES = {"LinearPolicy": ARSLinearPolicy, "MlpPolicy": ARSPolicy}
_NAMES = {"ARSPolicy": "MlpPolicy", "ARSLinearPolicy": "LinearPolicy"}  # of the classes, ours and stable-baselines3-contrib's
_PACKAGES = ("fastars", "sb3_contrib")
_OWN = ("_abc_impl", "_get_constructor_parameters")  # what a class may have of its own, besides its constructor
_ANY_SPACE = Box(-1.0, 1.0, (1,), np.float32)


def policy_settings(
    policy: Any, policy_kwargs: Mapping[str, Any] | None, observation_space: Any = _ANY_SPACE, action_space: Any = _ANY_SPACE
) -> dict[str, Any]:
    """Return the fields of `Config` for a policy and its keyword arguments.

    Parameters
    ----------
    policy : str or class
        A name; or `ARSPolicy` or `ARSLinearPolicy`, of fastars or of stable-baselines3-contrib, or a class derived from one that
        gives it other layers.
    policy_kwargs : mapping, optional
        Its keyword arguments.
    observation_space, action_space : gymnasium.Space
        Spaces of the environment, for the constructor of a derived class.

    Raises
    ------
    ValueError
        For an unknown policy, or a class with methods or layers of its own; the message names them.
    TypeError
        For an unknown keyword argument, and for values of other kinds than these.
    """
    if isinstance(policy, type) and not _is_known(policy) and any(map(_is_known, policy.__mro__)):
        return _settings_of_class(policy, dict(policy_kwargs or {}), observation_space, action_space)
    policy = _NAMES.get(getattr(policy, "__name__", ""), policy)
    if not isinstance(policy, str) or policy not in POLICY_KWARGS:
        kind = ValueError if isinstance(policy, (str, type)) else TypeError
        near = did_you_mean(policy, POLICY_KWARGS)
        raise kind(f"policy must be one of {', '.join(map(repr, POLICY_KWARGS))}, got {policy!r}{near}")
    if not isinstance(policy_kwargs or {}, Mapping):
        raise TypeError(f"policy_kwargs must be a dict, got {policy_kwargs!r}")
    given = dict(policy_kwargs or {})
    known = POLICY_KWARGS[policy]
    for name in given:
        if name not in known:
            raise TypeError(f"policy_kwargs of {policy} are {', '.join(known)}; got {name!r}{did_you_mean(name, known)}")
    for name in ("with_bias", "squash_output"):
        if given.get(name, False) not in (True, False):
            raise TypeError(f"policy_kwargs: {name} must be True or False, got {given[name]!r}")
    if "activation_fn" in given:
        given["activation_fn"] = activation_name(given["activation_fn"])
    if given.get("net_arch", 0) is None:  # the default, as in stable-baselines3-contrib
        del given["net_arch"]
    if policy == "LinearPolicy":
        return {"policy": policy, **given}  # the preset decides what is not given
    return {"policy": policy, **known, **given}


def _is_known(kind: type) -> bool:
    """Return True for `ARSPolicy` and `ARSLinearPolicy`, of fastars and of stable-baselines3-contrib."""
    return kind.__name__ in _NAMES and kind.__module__.partition(".")[0] in _PACKAGES


def _settings_of_class(policy: Any, kwargs: dict[str, Any], observation_space: Any, action_space: Any) -> dict[str, Any]:
    """Return the settings of a policy by a class of the user's: its constructor is called, and its layers are read."""
    mro = policy.__mro__
    base = next(filter(_is_known, mro))
    for kind in mro[: mro.index(base)]:
        own = [name for name in vars(kind) if hasattr(base, name) and not name.startswith("__") and name not in _OWN]
        if own or "__call__" in vars(kind):
            name = (own or ["__call__"])[0]
            raise ValueError(
                f"policy must be a class that changes the layers of an {base.__name__} alone, got {policy.__name__} with a "
                f"{name!r} of its own, which rollouts don't run"
            )
    made = policy(observation_space, action_space, **kwargs)
    linear = base.__name__ == "ARSLinearPolicy"
    settings: dict[str, Any] = {"with_bias": "action_net.0.bias" in made.state_dict()}
    if isinstance(action_space, Box):
        settings["squash_output"] = bool(made.squash_output)
    if not linear:
        settings |= {"net_arch": list(made.net_arch), "activation_fn": activation_name(made.activation_fn)}
    like = (ARSLinearPolicy if linear else ARSPolicy)(observation_space, action_space, **settings)
    for part in ("features_extractor", "action_net"):
        wanted, found = repr(getattr(like, part)), repr(getattr(made, part))
        if wanted != found:
            raise ValueError(
                f"policy must be a class with the layers that its net_arch and activation_fn say, got {policy.__name__}, whose "
                f"{part} is\n{found}\nand not\n{wanted}"
            )
    return policy_settings("LinearPolicy" if linear else "MlpPolicy", settings)

"""Recognise objects of stable-baselines3 by the names of their classes, without importing it."""

from __future__ import annotations

import sys
from typing import Any

from fastars._imports import when_imported
from fastars.envs.originals import altered, set_on

PACKAGE = "stable_baselines3"


def is_sb3(value: Any, name: str) -> bool:
    """Return True if the value is of stable-baselines3's class `name`, or of a class derived from it."""
    return any(each.__name__ == name and each.__module__.partition(".")[0] == PACKAGE for each in type(value).__mro__)


def changed_method(value: Any) -> str | None:
    """Return the name of what an object of stable-baselines3 does in another way than its class there; None if nothing."""
    kind = type(value)
    if kind.__module__.partition(".")[0] != PACKAGE:
        return f"class {kind.__name__}"
    return set_on(value) or altered(kind)


def register_with_theirs(model_class: type, policy_class: type, linear_class: type) -> None:
    """Let models and policies pass the `isinstance` checks of scripts, as soon as the program has imported the classes of theirs.

    They become virtual subclasses (`abc.ABCMeta.register`), which inherit nothing.
    """
    base, policies = f"{PACKAGE}.common.base_class", "sb3_contrib.ars.policies"

    def as_base_classes() -> None:
        module: Any = sys.modules[base]
        module.BaseAlgorithm.register(model_class)
        module.BasePolicy.register(policy_class)

    def as_policies() -> None:
        module: Any = sys.modules[policies]
        module.ARSPolicy.register(policy_class)
        module.ARSLinearPolicy.register(linear_class)

    when_imported(base, as_base_classes)
    when_imported(policies, as_policies)

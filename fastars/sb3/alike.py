"""Tell whether the environments in a vector environment of stable-baselines3 are alike, and as their specifications make them."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

from gymnasium.utils import RecordConstructorArgs

from fastars.envs import UnsupportedEnvError, compiled_id
from fastars.envs.changes import difference, refuse_changed_attributes, refuse_other_classes
from fastars.envs.originals import altered, fingerprint, set_on
from fastars.envs.registry import COMPILED
from fastars.envs.wrappers import innermost, layers, time_limit
from fastars.sb3.monitor import unwrap_monitors


def are_alike(envs: list[Any]) -> bool:
    """Return True if no difference was found between environments of this process: rollouts may then run the first of them."""
    first, *others = (unwrap_monitors(env)[0] for env in envs)
    return all(difference(first, other) is None and _have_equal_arguments(first, other) for other in others)


def _have_equal_arguments(env: Any, other: Any) -> bool:
    """Return True if the layers of two environments keep equal arguments: attributes that are named as a parameter of the class."""
    for one, two in zip([*layers(env), innermost(env)], [*layers(other), innermost(other)], strict=True):
        parameters = inspect.signature(type(one).__init__).parameters.keys() - {"render_mode"}
        for name in vars(one).keys() & vars(two).keys():
            if name.lstrip("_") in parameters and fingerprint(vars(one)[name]) != fingerprint(vars(two)[name]):
                return False
    return True


def are_of_one_kind(specs: list[Any]) -> bool:
    """Return True if specifications make the same environment, but for pictures and the files of monitors."""

    def compared(spec: Any) -> tuple[Any, ...]:
        kwargs = {name: value for name, value in spec.kwargs.items() if name != "render_mode"}
        wrappers = [(each.name, fingerprint(each.kwargs)) for each in spec.additional_wrappers if each.name != "Monitor"]
        return spec.id, spec.max_episode_steps, fingerprint(kwargs), wrappers

    return all(compared(spec) == compared(specs[0]) for spec in specs)


class _Unlike(type):
    """Class of `Unlike`."""

    def __instancecheck__(cls, env: Any) -> bool:
        """Return True if no specification that can be sent makes this environment; called in the environment's process."""
        bare, _ = unwrap_monitors(env)
        try:
            spec, wrappers = bare.spec, layers(bare)
            pickle.dumps(spec)  # a connection does it, and the process would end where it can't
        except Exception:  # of an argument of any class
            return True
        if spec is None:
            return True
        if time_limit(bare) != spec.max_episode_steps or not all(isinstance(layer, RecordConstructorArgs) for layer in wrappers):
            return True
        ours = [layer for layer in wrappers if type(layer).__module__.startswith("gymnasium.")]
        if any(set_on(layer) for layer in (*wrappers, innermost(bare))) or any(altered(type(layer)) for layer in ours):
            return True
        if compiled_id(spec.id) not in COMPILED:
            return False
        if (inner := innermost(bare)).spec is None:
            return True
        try:
            refuse_other_classes(inner, spec.id)
            refuse_changed_attributes(inner)
        except UnsupportedEnvError:
            return True
        return False


class Unlike(metaclass=_Unlike):
    """Class that `env_is_wrapped` asks for in other processes: what says yes can't be made here by its specification."""

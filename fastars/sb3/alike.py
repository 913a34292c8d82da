"""Find vector environments of stable-baselines3 that do more than their classes, or hold environments that are not alike."""

from __future__ import annotations

from typing import Any

from gymnasium.utils import RecordConstructorArgs

from fastars.envs import UnsupportedEnvError, compiled_id
from fastars.envs.changes import difference, refuse_changed_attributes, refuse_other_classes
from fastars.envs.originals import altered, fingerprint, set_on
from fastars.envs.registry import COMPILED
from fastars.envs.wrappers import innermost, layers, time_limit
from fastars.sb3.classes import changed_method
from fastars.sb3.monitor import unwrap_monitors


def refuse_changed(vec_env: Any) -> None:
    """Raise if a vector environment, or a wrapper of one, has a method of its own: rollouts don't run it."""
    if (name := changed_method(vec_env)) is not None:
        raise UnsupportedEnvError(
            f"env is a {type(vec_env).__name__} with a {name} of its own, which rollouts don't run: put a gymnasium.Wrapper around "
            "each environment"
        )


def refuse_mixture(envs: list[Any]) -> None:
    """Raise if the environments of a vector environment are not alike: rollouts run one of them."""
    first = unwrap_monitors(envs[0])[0]
    for i, env in enumerate(envs[1:], 1):
        if (found := difference(first, unwrap_monitors(env)[0])) is not None:
            raise UnsupportedEnvError(
                f"env has different environments: envs[{i}] differs from envs[0] ({found}). Rollouts run one environment: give it, "
                "or a list of environments, which are the tasks of one policy"
            )


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
        """Return True if an environment is not as its specification makes it; called in the environment's process."""
        bare, _ = unwrap_monitors(env)
        spec, wrappers = bare.spec, layers(bare)
        if spec is None:
            return False
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
    """Class that `env_is_wrapped` asks for in other processes: what says yes was changed after its specification was used."""

"""Take the vector environments of stable-baselines3 apart: the environments, records and statistics inside."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import gymnasium

from fastars.envs import make
from fastars.envs.driven import DrivenVecEnv
from fastars.envs.old_gym import adapted
from fastars.sb3.alike import Unlike, are_alike, are_of_one_kind
from fastars.sb3.classes import changed_method, is_sb3
from fastars.sb3.monitor import MonitorRecord, Recorder, unwrap_monitors
from fastars.sb3.normalizer import Normalizer
from fastars.sb3.recording import recorders
from fastars.sb3.training_env import TrainingEnv


class EnvInput(NamedTuple):
    """The environment that a user gave, taken apart."""

    env: Any  # in a form that `fastars.envs.environment` takes
    n_envs: int = 1  # environments side by side
    n_processes: int = 1  # processes that step these environments
    monitors: tuple[Recorder, ...] = ()  # what `Monitor` wrappers and the like keep of each episode
    vec_env: Any = None  # the vector environment of stable-baselines3, with all its wrappers
    normalizer: Normalizer | None = None  # the `VecNormalize` among these wrappers, which rollouts run without
    envs: tuple[gymnasium.Env, ...] = ()  # the user's environments, as far as they are in this process

    def recorded(self, env: Any) -> EnvInput:
        """Return this with the records of Gymnasium's wrappers, whose rollouts run in `env`."""
        return self._replace(monitors=(*self.monitors, *recorders(self.envs, env)))

    @property
    def vec_normalize(self) -> Any:
        """The outermost `VecNormalize`, also one that rollouts run with; None if there is none."""
        return next((layer for layer in _layers(self.vec_env) if is_sb3(layer, "VecNormalize")), None)


def unwrap_env(env: Any) -> EnvInput:
    """Take an environment of stable-baselines3 apart; any other environment stays as it is.

    `Monitor` and `VecMonitor` only watch episodes. Rollouts run without them, and the model writes into their records. A
    `VecNormalize` outside of all others is a filter of the run. What is inside of these is one of three: a `DummyVecEnv` of
    environments that are alike, of which rollouts run the first one; a `SubprocVecEnv` of environments that are made again by their
    specification; or anything else, which is driven by its own `reset` and `step`.
    """
    if isinstance(env, TrainingEnv):
        return EnvInput(env.envs[0], vec_env=env, envs=tuple(env.envs))
    if not is_sb3(env, "VecEnv"):
        bare, monitors = unwrap_monitors(adapted(env))
        return EnvInput(bare, monitors=monitors, envs=(bare,) if isinstance(bare, gymnasium.Env) else ())
    inner, monitors, normalizer = env, (), None
    while _is_watcher(inner) or (normalizer is None and _is_known(inner, "VecNormalize")):
        if is_sb3(inner, "VecNormalize"):
            normalizer = Normalizer(inner)
        else:
            monitors += (MonitorRecord(inner),)
        inner = inner.venv
    n_envs, is_watched = inner.num_envs, bool(monitors)
    if _is_dummy(inner) and are_alike(inner.envs):
        for i, one in enumerate(inner.envs):
            monitors += tuple(record._replace(first=i, n_envs=n_envs) for record in unwrap_monitors(one)[1])
        envs = tuple(unwrap_monitors(one)[0] for one in inner.envs)
        return EnvInput(envs[0], n_envs, 1, monitors, env, normalizer, envs)
    if _is_known(inner, "SubprocVecEnv") and (spec := _common_spec(inner)) is not None:
        return EnvInput(_made(spec), n_envs, n_envs, monitors, env, normalizer)
    driven = DrivenVecEnv(inner, _holds_alike(inner), is_monitored(inner) and not is_watched)
    return EnvInput(driven, n_envs, 1, monitors, env, normalizer)


def _is_known(vec_env: Any, name: str) -> bool:
    """Return True for an object of stable-baselines3's class itself, without a method of its own."""
    return is_sb3(vec_env, name) and changed_method(vec_env) is None


def _is_watcher(vec_env: Any) -> bool:
    return _is_known(vec_env, "VecMonitor")


def _is_dummy(vec_env: Any) -> bool:
    return _is_known(vec_env, "DummyVecEnv")


def _holds_alike(vec_env: Any) -> bool:
    """Return True if the environments inside of all wrappers are known to be alike."""
    inner = _layers(vec_env)[-1]
    if _is_dummy(inner):
        return are_alike(inner.envs)
    return inner.num_envs == 1 or (_is_known(inner, "SubprocVecEnv") and _common_spec(inner) is not None)


def _layers(vec_env: Any) -> list[Any]:
    """Return a vector environment of stable-baselines3 with the ones inside of it, the outermost first."""
    found = [vec_env]
    while is_sb3(found[-1], "VecEnvWrapper"):
        found.append(found[-1].venv)
    return found


def _common_spec(vec_env: Any) -> Any:
    """Return the specification that makes each of the environments in other processes; None if there is none."""
    if not all(vec_env.env_is_wrapped(gymnasium.Wrapper)) or any(vec_env.env_is_wrapped(Unlike)):
        return None
    specs = [copy.copy(spec) for spec in vec_env.get_attr("spec")]
    return specs[0] if are_of_one_kind(specs) else None


def _made(spec: Any) -> gymnasium.Env:
    """Make an environment like the ones that run in other processes."""
    spec.additional_wrappers = tuple(wrapper for wrapper in spec.additional_wrappers if wrapper.name != "Monitor")
    spec.kwargs = {name: value for name, value in spec.kwargs.items() if name != "render_mode"}
    return make(spec)


def is_vec_env(env: Any) -> bool:
    """Return True for a vector environment of stable-baselines3 and for a `TrainingEnv`."""
    return isinstance(env, TrainingEnv) or is_sb3(env, "VecEnv")


def is_monitored(vec_env: Any) -> bool:
    """Return True if a `Monitor` or `VecMonitor` writes each episode's own return and length into its last info.

    Wrappers outside of the monitor may change rewards and ends of episodes. A `TrainingEnv` has no such wrappers and no monitor.
    """
    *wrappers, inner = _layers(vec_env)
    if any(is_sb3(layer, "VecMonitor") for layer in wrappers):
        return True
    if isinstance(inner, TrainingEnv):
        return False
    from stable_baselines3.common.monitor import Monitor

    return bool(inner.env_is_wrapped(Monitor)[0])

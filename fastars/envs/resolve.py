"""Find what a user's argument `env` stands for: a compiled environment, one in Python, or several."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import gymnasium
from gymnasium.vector import VectorEnv

from fastars._validate import user_facing
from fastars.envs.compiled import CompiledEnv
from fastars.envs.compiling import compiled_env
from fastars.envs.env_tuple import EnvTuple, env_tuple
from fastars.envs.errors import ChangedEnvError, OtherSystemError, UnsupportedEnvError
from fastars.envs.gym import GymEnv, gym_env
from fastars.envs.making import make
from fastars.envs.mujoco.task import MujocoTask
from fastars.envs.old_gym import adapted
from fastars.envs.registry import compiled_env_ids, compiled_id
from fastars.envs.terms import TERMS, spec_with_terms, with_terms

# Reasons to step an environment in Python that do not depend on the environment itself: its id may have a compiled form.
_BY_CHOICE, _VECTOR, _MADE = "compiled=False", "it is a vector environment", "a function makes it"
AS_COMPILED = (_BY_CHOICE, _VECTOR, _MADE)


@user_facing
def environment(
    env: Any, compiled: bool | None = None, max_episode_steps: int | None = None, tasks: bool = False
) -> CompiledEnv | GymEnv | EnvTuple:
    """Return an environment as the samplers see it: compiled if it can be, otherwise in Python.

    Parameters
    ----------
    env : str, gymnasium.Env, gymnasium.vector.VectorEnv, MujocoTask, callable, or a list or tuple of these
        As `ARS` takes it. Several are the tasks of one policy, each with a number as its reward.
    compiled : bool, optional
        True: in compiled kernels or not at all. False: in Python.
    max_episode_steps : int, optional
        Ends episodes after so many steps, if nothing ends them before.
    tasks : bool
        True if several rewards are wanted. Where the reward is a number, they are the terms that it is known to have in MuJoCo
        (`RewardTerms`), or the `info["vector_reward"]` of an environment in Python.

    Raises
    ------
    UnsupportedEnvError
        If it can't be run, or not in compiled kernels where these are required; the message gives the reason.
    TypeError
        If `env` is none of these.
    ValueError
        If several environments have different spaces.
    """
    if type(env) not in (list, tuple):
        return _single(env, compiled, max_episode_steps, tasks)
    return env_tuple(_single(one, compiled, max_episode_steps, tasks=False) for one in env)


def _single(env: Any, compiled: bool | None, max_episode_steps: int | None, tasks: bool) -> CompiledEnv | GymEnv:
    """Return one environment as the samplers see it."""
    env = adapted(env)
    kinds = (str, gymnasium.Env, VectorEnv, MujocoTask, CompiledEnv)
    if not isinstance(env, kinds) and not callable(env):
        raise TypeError(
            "env must be an id, an environment, a vector environment, a MujocoTask, a function that makes one, or a list of these, "
            f"got {env!r}"
        )
    if isinstance(env, str):
        env = _bare_id(env)
        if compiled is not False or env not in gymnasium.registry:
            env = compiled_id(env)
    reason = _BY_CHOICE
    if compiled is not False:
        try:
            found = _compiled_form(env)
        except UnsupportedEnvError as error:
            is_known = env in compiled_env_ids() if isinstance(env, str) else False
            must_be = is_known and not isinstance(error, (ChangedEnvError, OtherSystemError))
            if compiled or must_be or (isinstance(env, str) and env not in gymnasium.registry):
                raise
            reason = str(error)
        else:
            if tasks and found.n_tasks == 0 and found.id in TERMS:
                found = with_terms(found)
            return found._replace(max_steps=min(found.max_steps, max_episode_steps or found.max_steps))
    return gym_env(_in_python(env, tasks), reason, max_episode_steps, tasks)


def _bare_id(env_id: str) -> str:
    """Return an id without our namespace and without the module that registers it; the module is imported."""
    module, colon, name = env_id.rpartition(":")
    if colon:
        importlib.import_module(module)
    return name.removeprefix("fastars/")


def _compiled_form(env: Any) -> CompiledEnv:
    """Return the compiled form; vector environments and functions, which have none, are refused first."""
    if isinstance(env, VectorEnv):
        raise UnsupportedEnvError(_VECTOR)
    if callable(env) and not isinstance(env, (gymnasium.Env, MujocoTask)):
        raise UnsupportedEnvError(_MADE)
    return compiled_env(env)


def _in_python(env: Any, tasks: bool) -> Any:
    """Return an environment in a form that `gym_env` takes: an id, an environment, or a function that makes one."""
    if isinstance(env, MujocoTask):
        return env.make
    if isinstance(env, CompiledEnv):
        env_id, kwargs = env.gymnasium()
        return functools.partial(make, env_id, **kwargs)
    if tasks and isinstance(env, str) and env in TERMS:
        return functools.partial(make, spec_with_terms(env))
    return env

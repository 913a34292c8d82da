"""Describe the environment of a run in a file, and make it again."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np

from fastars._validate import stored_integer
from fastars.envs import AS_COMPILED, CompiledEnv, UnsupportedEnvError, compiled_env, compiled_env_ids
from fastars.envs.absent import AbsentEnv
from fastars.envs.described_spaces import describe_space, space_of
from fastars.envs.env_tuple import EnvTuple
from fastars.envs.gym import GymEnv, most_steps
from fastars.envs.of_file import compiled_as_in_file, is_ours, registered_as_in_file
from fastars.envs.rewards import checked_task_names, unbounded_rewards
from fastars.envs.spaces import refuse_bounds
from fastars.files import checkpoint
from fastars.files.errors import make_printable

_MOST_DEPTH = 16  # levels of an argument; a file holds 32
_MOST_TEXT = 1 << 16  # characters of all arguments together
_MOST_SHOWN = 200
_OTHER_ENV = "; ARS.load(path, env=...) takes one that can"


def plain(value: Any) -> Any:
    """Return plain data for a file. What a file can't hold is replaced by a text; of equal arguments it is the same text.

    Other objects become their `repr`, and so do integers of more than 64 bits. Long texts are cut, and arguments that would take
    more than 64 KiB, or are nested deeper than 16 levels, become such a text as a whole.
    """
    try:
        found = _plain(value, _MOST_DEPTH)
        if len(json.dumps(found)) <= _MOST_TEXT:
            return found
    except RecursionError:  # too deep, or within itself
        pass
    return _text(value)


def _plain(value: Any, depth: int) -> Any:
    if depth == 0:
        raise RecursionError
    if isinstance(value, Mapping):
        return {_text(name) if str(name).startswith("$") else str(name): _plain(inner, depth - 1) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner, depth - 1) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    is_plain = value is None or isinstance(value, (bool, float, str)) or (isinstance(value, int) and -(2**63) <= value < 2**63)
    return value if is_plain else _text(value)


def _text(value: Any) -> str:
    """Return the `repr` of an object: if it is long, its beginning and its sha256."""
    try:
        text = hex(value) if isinstance(value, int) else repr(value)  # Python writes no decimals of a very long integer
    except Exception:  # of a class of the user's
        text = object.__repr__(value)
    if len(text) <= _MOST_SHOWN:
        return text
    return f"{text[:_MOST_SHOWN]}... ({len(text)} characters, sha256 {hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()})"


def env_kwargs(env: CompiledEnv | GymEnv | EnvTuple | AbsentEnv) -> dict[str, Any]:
    """Return the keyword arguments of `gymnasium.make` that an environment was made with, its time limit among them."""
    return {**env.kwargs, "max_episode_steps": env.max_steps}


def described_env(env: CompiledEnv | GymEnv | EnvTuple | AbsentEnv) -> dict[str, Any]:
    """Return the description of an environment in a file; "python" adds what the id of an environment in Python does not tell."""
    if isinstance(env, AbsentEnv):
        return env.described
    described = {"env": env.id, "env_kwargs": plain(env_kwargs(env))}
    if isinstance(env, EnvTuple):
        return {**described, "several": [described_env(one) for one in env.envs]}
    return {**described, "python": None if isinstance(env, CompiledEnv) else {"reason": env.reason, "wrappers": list(env.wrappers)}}


@contextlib.contextmanager
def named(path: Any, what: str = "a model") -> Iterator[None]:
    """Turn errors about content that does not fit into a `CheckpointError` that names the file."""
    try:
        yield
    except checkpoint.CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, MemoryError, gymnasium.error.Error) as error:
        make_printable(error)
        reason = f"it lacks {error}" if isinstance(error, KeyError) else checkpoint.brief(error)
        raise checkpoint.CheckpointError(f"{checkpoint.name_of(path)}: not {what} of this version: {reason}") from error


def described_spaces(env: CompiledEnv | GymEnv | EnvTuple | AbsentEnv) -> dict[str, Any] | None:
    """Return the spaces and the tasks of an environment for a file: its policy then acts where the environment can't be made.

    None stands for spaces that a file can't hold.
    """
    observation, action = describe_space(env.observation_space), describe_space(env.action_space)
    if observation is None or action is None:
        return None
    tasks = None if not env.n_tasks else {"names": list(env.task_names), "high": np.ravel(env.reward_space.high).tolist()}
    return {"observation": observation, "action": action, "tasks": tasks}


@contextlib.contextmanager
def remade_env(path: Any, manifest: Mapping[str, Any], trust: bool, n_obs: int, n_weights: int) -> Iterator[Any]:
    """Make the environment that a file names, and close it afterwards.

    If it can't be made here, the result is an `AbsentEnv` with the spaces in the file. A file without them is a CheckpointError.
    """
    with named(path):
        described = [(one["env"], one["env_kwargs"], one.get("python")) for one in manifest.get("several", [manifest])]
    with contextlib.ExitStack() as stack:
        made: list[Any] = []
        for env_id, kwargs, python in described:
            try:
                env = _made(env_id, kwargs, trust) if python is None else _in_python(env_id, kwargs, python, manifest["config"])
            except Exception as error:  # of Gymnasium, of MuJoCo, of the file system
                make_printable(error)
                cause = f"{checkpoint.name_of(path)}: its environment {checkpoint.brief(repr(env_id))} can't be made: "
                cause += checkpoint.brief(error)
                absent = _absent_env(manifest, cause, n_obs, n_weights)
                if absent is None:
                    raise checkpoint.CheckpointError(f"{cause}{_OTHER_ENV}") from error
                yield absent
                return
            made.append(env)
            if isinstance(env, gymnasium.Env):
                stack.callback(env.close)
        yield made if "several" in manifest else made[0]


def _absent_env(manifest: Mapping[str, Any], cause: str, n_obs: int, n_weights: int) -> AbsentEnv | None:
    """Return the environment of a file by the spaces in it; None if the file has none, or something else in their place."""
    try:
        env_id, spaces, kwargs = manifest["env"], manifest["spaces"], dict(manifest["env_kwargs"])
        if type(env_id) is not str or len(env_id) > _MOST_SHOWN:
            return None
        tasks = spaces["tasks"] or {"names": [], "high": []}
        names = checked_task_names(tasks["names"], len(tasks["high"]))
        rewards = unbounded_rewards(len(names)) if names else None
        if rewards is not None:
            rewards.high[:] = tasks["high"]
        env = AbsentEnv(
            id=env_id,
            max_steps=stored_integer("max_episode_steps", kwargs.pop("max_episode_steps"), 1),
            kwargs=kwargs,
            observation_space=space_of(spaces["observation"], n_obs),
            action_space=space_of(spaces["action"], n_weights),
            reason=f"{cause}{_OTHER_ENV}, and so does model.set_env",
            described={name: manifest[name] for name in ("env", "env_kwargs", "python", "several") if name in manifest},
            reward_space=rewards,
            task_names=names,
            physics=manifest["config"].get("physics", "mujoco"),
        )
        for space in (env.observation_space, env.action_space):
            refuse_bounds(space)
        env.n_obs, env.n_act  # noqa: B018 - they raise
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return env


def _made(env_id: Any, kwargs: Mapping[str, Any], trust: bool) -> gymnasium.Env:
    """Make a compiled environment with the arguments in a file."""
    env = compiled_as_in_file(env_id, kwargs, trust)()
    compiled_env(env)
    return env


def _in_python(env_id: Any, kwargs: Mapping[str, Any], python: Mapping[str, Any], config: Mapping[str, Any]) -> Any:
    """Return the id of an environment in Python, or a function that makes it, if the id stands for the environment of the file."""
    env = registered_as_in_file(env_id, kwargs, wanted := kwargs["max_episode_steps"], plain)
    spec = gymnasium.spec(env_id)
    if python["wrappers"] != [wrapper.name for wrapper in spec.additional_wrappers]:
        raise UnsupportedEnvError(f"it had other wrappers around it ({', '.join(python['wrappers']) or 'none'})")
    if env_id in compiled_env_ids() and python["reason"] not in AS_COMPILED:
        raise UnsupportedEnvError(f"it is compiled, and was not: {python['reason']}")
    return env_id if wanted == most_steps(spec.max_episode_steps, config["max_episode_steps"]) else env


def env_of_episode(env_id: Any, kwargs: Mapping[str, Any], max_steps: Any) -> Callable[[], gymnasium.Env]:
    """Return a function that makes the environment of an episode in a file: compiled ones with its arguments, others without.

    Raises
    ------
    UnsupportedEnvError, ValueError, TypeError, KeyError
        If it is not registered here, or arguments in the file are not given to it.
    """
    if is_ours(env_id):
        return compiled_as_in_file(env_id, {**kwargs, "max_episode_steps": max_steps})
    return registered_as_in_file(env_id, kwargs, max_steps, plain)

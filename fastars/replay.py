"""Replay one episode of a run in this process, from a file with its seed and its policy: `python -m fastars.replay FILE`.

An environment that raised an error raises it again, from its own code: `python -m pdb -m fastars.replay FILE` stops there.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import os
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import Filter
from fastars._validate import user_facing
from fastars.envs import make
from fastars.envs.gym import GymEnv, gym_env
from fastars.envs.spaces import flattener
from fastars.files import checkpoint
from fastars.training.checkpoint_validation import check_config
from fastars.training.config import Config
from fastars.training.policy import FixedValues, Policy, policy_structure, zero_weights
from fastars.training.stored_env import named, registered


@user_facing
def replay(path: str | os.PathLike[str], env: Any = None) -> tuple[float, int]:
    """Run the episode in a file.

    Parameters
    ----------
    path : str or path
        A file that a run wrote when an environment failed.
    env : str, gymnasium.Env or callable, optional
        The environment, its id (`module:Id` imports the module), or a function that makes it. If the id is the id in the file, the
        environment is made with the arguments in the file. Default: this id, if it is registered with these arguments.

    Returns
    -------
    (float, int)
        Return and length of the episode; several rewards are summed.

    Raises
    ------
    fastars.CheckpointError
        If the file holds no episode that fits this version and the environment.
    Exception
        Any error that the environment raises.
    """
    env_id, kwargs, config, seed, max_steps, _, arrays = read_episode(path)
    given = _given(env, env_id, kwargs, max_steps) if env is not None else _of_file(path, env_id, kwargs, max_steps)
    found = gym_env(given, "an episode is replayed in Python", max_steps)
    with named(path, "an episode"):
        policy = _policy(found, config, arrays)
    flatten = flattener(found.observation_space)
    env = found.env or found.maker()()
    total, length, ended = 0.0, 0, False
    observation, _ = env.reset(seed=seed)
    while not ended and length < max_steps:
        (action,) = policy.act(np.array([flatten(observation)], np.float64))
        observation, reward, terminated, truncated, _ = env.step(action)
        total, length, ended = total + float(np.sum(reward)), length + 1, terminated or truncated
    return total, length


class Episode(NamedTuple):
    """The content of a file of an episode, checked except for the shapes that depend on the environment."""

    env_id: Any
    env_kwargs: dict[str, Any]
    config: Config
    seed: int
    max_steps: int
    place: dict[str, Any]  # the iteration and the candidate that the episode belongs to, and its seed
    arrays: dict[str, np.ndarray]  # "weights" of the policy, "mean" and "scale" of the filter


def read_episode(path: str | os.PathLike[str]) -> Episode:
    """Read a file that a run wrote when an environment failed; raise a CheckpointError for any other file."""
    manifest, arrays = checkpoint.load(path)
    if manifest.get("kind") != "episode":
        raise checkpoint.CheckpointError(f"{os.fspath(path)}: not the file of an episode")
    with named(path, "an episode"):
        check_config(manifest["config"])
        config, place, max_steps = Config.from_dict(manifest["config"]), dict(manifest["place"]), manifest["max_steps"]
        for name, value, most in (("seed", place["seed"], 2**64), ("max_steps", max_steps, 2**63)):
            if type(value) is not int or not 0 <= value < most:
                raise TypeError(f"{name} must be an integer from 0 to {most - 1}, got {value!r}")
        for name in ("weights", "mean", "scale"):
            if arrays[name].dtype != np.float64 or arrays[name].ndim != 1 or not np.isfinite(arrays[name]).all():
                raise ValueError(f"{name} must be finite float64 with one axis, got {arrays[name].dtype} {arrays[name].shape}")
        return Episode(manifest["env"], dict(manifest["env_kwargs"]), config, place["seed"], max_steps, place, arrays)


def _of_file(path: str | os.PathLike[str], env_id: Any, kwargs: Mapping[str, Any], max_steps: int) -> Any:
    """Return a function that makes the environment in a file."""
    try:
        return registered(env_id, kwargs, max_steps)
    except (TypeError, ValueError) as error:
        raise checkpoint.CheckpointError(
            f"{os.fspath(path)}: its environment {env_id!r} can't be made: {error}; name it, as MODULE:ID or as MODULE:FUNCTION"
        ) from error


def _given(env: Any, env_id: Any, kwargs: Mapping[str, Any], max_steps: int) -> Any:
    """Return the environment that the user named: `module:function` is a function, any other text is an id.

    If the id is the id in the file, the environment gets the arguments in the file.
    """
    if isinstance(env, str) and ":" in env:
        module, _, name = env.rpartition(":")
        env = getattr(importlib.import_module(module), name, name)
    if isinstance(env, str) and env == env_id:
        return partial(make, env, max_episode_steps=max_steps, **kwargs)
    return env


def _policy(env: GymEnv, config: Config, arrays: Mapping[str, np.ndarray]) -> Policy:
    """The policy of a file, after checking it: the kernels trust us."""
    for name in ("mean", "scale"):
        if arrays[name].shape != (env.n_obs,):
            raise ValueError(f"{name} must have shape {(env.n_obs,)}, got {arrays[name].shape}")
    filter = Filter(arrays["mean"], arrays["scale"], config.clip_observations)
    policy = Policy(env, config, FixedValues(zero_weights(policy_structure(config), env), filter), "numba")
    policy.load_from_vector(arrays["weights"])
    return policy


def main() -> None:
    """Replay the file that the command line names, and print return and length."""
    parser = argparse.ArgumentParser(prog="python -m fastars.replay", description="Run an episode in which an environment failed.")
    parser.add_argument("file")
    parser.add_argument("env", nargs="?", help="the environment: an id, MODULE:ID, or MODULE:FUNCTION that makes it")
    arguments = parser.parse_args()
    sys.path.insert(0, os.getcwd())
    faulthandler.enable()  # an environment may end the process
    try:
        place = read_episode(arguments.file).place
        print(", ".join(f"{name} {checkpoint.brief(value)}" for name, value in place.items()), flush=True)
        total, length = replay(arguments.file, arguments.env)
    except checkpoint.CheckpointError as error:
        sys.exit(f"error: {error}")
    except SystemExit as error:  # Python would say nothing
        raise RuntimeError(f"the environment ended the program: SystemExit({error})") from error
    print(f"the episode ended without an error: return {total:g}, {length} steps")


if __name__ == "__main__":
    main()

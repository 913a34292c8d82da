"""Replay one episode of a run in this process, from a file with its seed and its policy: `python -m fastars.replay FILE`.

An environment that raised an error raises it again, from its own code: `python -m pdb -m fastars.replay FILE` stops there.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import Filter
from fastars._runtime.shared_generators import generators_kept
from fastars._validate import positive_int, user_facing
from fastars.envs import make
from fastars.envs.gym import GymEnv, gym_env
from fastars.envs.keywords import parse_keywords
from fastars.envs.making import warnings_logged
from fastars.envs.returned import real, real_array
from fastars.files import checkpoint
from fastars.files.errors import brief, make_printable
from fastars.training.checkpoint_validation import check_episode
from fastars.training.config import Config
from fastars.training.file_limits import MOST_STEPS
from fastars.training.policy import ARSPolicy, FixedValues, policy_of_run
from fastars.training.policy_structure import policy_structure, zero_weights
from fastars.training.single_episode import steps_of_episode
from fastars.training.stored_env import env_of_episode, named


@user_facing
def replay(
    path: str | os.PathLike[str], env: Any = None, env_kwargs: Mapping[str, Any] | None = None, max_steps: int | None = None
) -> tuple[float, int]:
    """Run the episode in a file.

    Parameters
    ----------
    path : str or path
        A file that a run wrote when an environment failed.
    env : str, gymnasium.Env or callable, optional
        The environment, its id (`module:Id` imports the module), or a function that makes it. Default: the id in the file, if it is
        registered. Arguments in the file are given to compiled environments alone: to code of others they may be a command.
    env_kwargs : dict, optional
        Arguments of `gymnasium.make` for an id, in place of those in the file.
    max_steps : int, optional
        Steps after which the episode ends at the latest. Default: the number in the file, up to 10,000,000.

    Returns
    -------
    (float, int)
        Return and length of the episode; several rewards are summed.

    Raises
    ------
    fastars.CheckpointError
        If the file holds no episode that fits this version and the environment, or has arguments that have to be given.
    TypeError
        If `env_kwargs` is given, and `env` is no id.
    Exception
        Any error that the environment raises.
    """
    episode = read_episode(path)
    if max_steps is None and episode.max_steps > MOST_STEPS:
        counts = f"{episode.max_steps} steps, more than the {MOST_STEPS:,} of a file"
        raise checkpoint.CheckpointError(f"{os.fspath(path)}: an episode of {counts}: give max_steps=... (--max-steps)")
    if max_steps is not None:
        episode = episode._replace(max_steps=positive_int("max_steps", max_steps))
    found = gym_env(_given(path, episode, env, env_kwargs), "an episode is replayed in Python", episode.max_steps)
    with named(path, "an episode"):
        policy = _policy(found, episode.config, episode.arrays)
    env = found.env or found.maker()()
    total, length = 0.0, 0
    with generators_kept(), warnings_logged(found.id):
        for step in steps_of_episode(env, policy, episode.seed, episode.max_steps):
            reward = step.reward
            total += float(real_array("the reward", reward).sum()) if np.ndim(reward) else real("the reward", reward)
            length += 1
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
        config, place = check_episode(manifest, arrays), dict(manifest["place"])
        return Episode(manifest["env"], dict(manifest["env_kwargs"]), config, place["seed"], manifest["max_steps"], place, arrays)


def _given(path: str | os.PathLike[str], episode: Episode, env: Any, env_kwargs: Mapping[str, Any] | None) -> Any:
    """Return the environment that the user named, or that of the file. `module:function` is a function, other texts are ids."""
    if isinstance(env, str) and ":" in env:
        module, _, name = env.rpartition(":")
        env = getattr(importlib.import_module(module), name, name)
    if env_kwargs is not None:
        if not isinstance(env, str):
            raise TypeError(f"env_kwargs must be None unless env is an id, got {env_kwargs!r}")
        return partial(make, env, **{"max_episode_steps": episode.max_steps, **env_kwargs})
    if env is not None and env != episode.env_id:
        return env
    return _of_file(path, episode)


def _of_file(path: str | os.PathLike[str], episode: Episode) -> Callable[[], Any]:
    """Return a function that makes the environment in a file."""
    try:
        return env_of_episode(episode.env_id, episode.env_kwargs, episode.max_steps)
    except (TypeError, ValueError) as error:
        make_printable(error)
        name = brief(repr(episode.env_id))
        raise checkpoint.CheckpointError(
            f"{os.fspath(path)}: its environment {name} can't be made: {brief(error)}; name it as MODULE:ID or MODULE:FUNCTION, "
            "and give its arguments (env_kwargs, --env-kwargs), which are taken from a file by compiled environments alone"
        ) from error


def _policy(env: GymEnv, config: Config, arrays: Mapping[str, np.ndarray]) -> ARSPolicy:
    """The policy of a file, after checking it: the kernels trust us."""
    for name in ("mean", "scale"):
        if arrays[name].shape != (env.n_obs,):
            raise ValueError(f"{name} must have shape {(env.n_obs,)}, got {arrays[name].shape}")
    filter = Filter(arrays["mean"], arrays["scale"], config.clip_observations)
    policy = policy_of_run(env, config, FixedValues(zero_weights(policy_structure(config), env), filter), "numba")
    policy.load_from_vector(arrays["weights"])
    return policy


def main() -> None:
    """Replay the file that the command line names, and print return and length."""
    parser = argparse.ArgumentParser(prog="python -m fastars.replay", description="Run an episode in which an environment failed.")
    parser.add_argument("file")
    parser.add_argument("env", nargs="?", help="the environment: an id, MODULE:ID, or MODULE:FUNCTION that makes it")
    parser.add_argument("--env-kwargs", nargs="+", metavar="KEY=VALUE", help="arguments of gymnasium.make, for an id")
    parser.add_argument("--max-steps", type=int, help="steps after which the episode ends; default: as in the file")
    arguments = parser.parse_args()
    sys.path.insert(0, os.getcwd())
    faulthandler.enable()  # an environment may end the process
    try:
        kwargs = None if arguments.env_kwargs is None else parse_keywords("--env-kwargs", arguments.env_kwargs)
        place = read_episode(arguments.file).place
        print(", ".join(f"{brief(name)} {brief(value)}" for name, value in place.items()), flush=True)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {brief(error)}")
    try:
        total, length = replay(arguments.file, arguments.env, kwargs, arguments.max_steps)
    except checkpoint.CheckpointError as error:
        sys.exit(f"error: {error}")
    except SystemExit as error:  # Python would say nothing
        raise RuntimeError(f"the environment ended the program: SystemExit({error})") from error
    print(f"the episode ended without an error: return {total:g}, {length} steps")


if __name__ == "__main__":
    main()

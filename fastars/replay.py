"""One episode of a run again, in this process, from a file that names its seed and holds its policy: `python -m fastars.replay`.

An environment that raised raises again, from its own code: `python -m pdb -m fastars.replay FILE` stops there.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

import gymnasium
import numpy as np

from fastars import checkpoint
from fastars._structs import Filter
from fastars.config import Config
from fastars.envs import make
from fastars.envs.gym import gym_env
from fastars.envs.spaces import flattener
from fastars.policy import Policy


def replay(path: str | os.PathLike[str], env: Any = None) -> tuple[float, int]:
    """Run the episode of a file.

    Parameters
    ----------
    path : str or path
        A file that a run wrote when an environment failed.
    env : str, gymnasium.Env or callable, optional
        The environment, an id of it (`module:Id` imports the module), or a function that makes it. Default: the id in the file.

    Returns
    -------
    (float, int)
        Return and length.

    Raises
    ------
    fastars.CheckpointError
        If the file holds no episode.
    Exception
        Whatever the environment raises.
    """
    manifest, arrays = checkpoint.load(path)
    if manifest.get("kind") != "episode":
        raise checkpoint.CheckpointError(f"{os.fspath(path)}: not the file of an episode")
    found = gym_env(_given(env) or partial(_of_file, path, manifest), "an episode is replayed in Python")
    config = Config.from_dict(manifest["config"])
    policy = Policy(found, config, "numba")
    policy.load_from_vector(arrays["weights"])
    policy.filter = Filter(arrays["mean"], arrays["scale"], config.clip_observations)
    flatten = flattener(found.observation_space)
    env = found.env or found.maker()()
    total, length, ended = 0.0, 0, False
    observation, _ = env.reset(seed=manifest["place"]["seed"])
    while not ended and length < manifest["max_steps"]:
        (action,) = policy.act(np.array([flatten(observation)], np.float64))
        observation, reward, terminated, truncated, _ = env.step(action)
        total, length, ended = total + float(reward), length + 1, terminated or truncated
    return total, length


def _given(env: Any) -> Any:
    """The environment that the user named: `module:function` is that function, any other text an id."""
    if isinstance(env, str) and ":" in env:
        module, _, name = env.partition(":")
        return getattr(importlib.import_module(module), name, env)
    return env


def _of_file(path: str | os.PathLike[str], manifest: Mapping[str, Any]) -> gymnasium.Env:
    """The environment that a file names. Nothing is imported for it."""
    env_id, kwargs = manifest["env"], manifest["env_kwargs"]
    if env_id not in gymnasium.registry:
        raise checkpoint.CheckpointError(
            f"{os.fspath(path)}: its environment {env_id!r} is not registered here: name it, as MODULE:ID or as MODULE:FUNCTION"
        )
    return make(env_id, **kwargs)


def main() -> None:
    """Replay the file that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m fastars.replay", description="Run an episode in which an environment failed.")
    parser.add_argument("file")
    parser.add_argument("env", nargs="?", help="its environment: an id, MODULE:ID, or MODULE:FUNCTION that makes it")
    arguments = parser.parse_args()
    sys.path.insert(0, os.getcwd())
    place = checkpoint.load(arguments.file)[0].get("place", {})
    print(", ".join(f"{name} {value}" for name, value in place.items()))
    total, length = replay(arguments.file, arguments.env)
    print(f"it came to an end: return {total:g}, {length} steps")


if __name__ == "__main__":
    main()

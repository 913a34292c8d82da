"""Limits of what a file may ask for: counts in it that decide the memory and the time of a run, and its processes.

A file may come from anybody, so its counts are believed up to a limit. A file with larger ones still loads, and its policy acts:
what such a count decides is made when it is used, and its use is refused. A count that the user gives has no limit.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Container

from fastars._runtime.cpus import available_cpus
from fastars._validate import warn_user
from fastars.training.run import Excess, Run

MOST_STEPS = 10_000_000  # of an episode: a tenth of a second in compiled kernels, minutes in Python
MOST_EVALUATED = 100_000  # episodes of an evaluation
MOST_WINDOW = 1_000_000  # episodes in the logged means
_MOST_NOISE = 1 << 28  # numbers: 1 GiB. The original's table has 250,000,000
# Of an iteration: bytes, and beside these so many policies, for large ones (n_delta = 1,000).
_MOST_BYTES, _MOST_CANDIDATES = 1 << 28, 2_000
_REMEDY = "if you know who made it, trust=True allows that (ARS.load), or --trust (fastars resume)"


def limited_run(run: Run, name: str, given: Container[str] = (), env_is_given: bool = False, remedy: str = _REMEDY) -> Run:
    """Return a run that refuses what its file may not ask for.

    Parameters
    ----------
    run : Run
        A run with the settings of a file.
    name : str
        The file, for the errors.
    given : container of str
        Settings that the user gave instead of the ones in the file.
    env_is_given : bool
        True if the user gave the environment.
    remedy : str
        What allows it all the same, for the errors.
    """
    of_training = _excess_of_training(run, given)
    steps = run.config.max_episode_steps if env_is_given else run.env.max_steps
    of_episodes = f"episodes of {steps} steps, more than {MOST_STEPS:,}" if (steps or 0) > MOST_STEPS else ""
    reasons = [f"{name}: it asks for {text}; {remedy}" if text else "" for text in (of_training, of_episodes)]
    return dataclasses.replace(run, excess=Excess(*reasons))


def _excess_of_training(run: Run, given: Container[str]) -> str:
    """Return the words for the first count of training that is too large; nothing if none is."""
    config, allowed = run.config, _MOST_BYTES + 8 * run.n_weights * _MOST_CANDIDATES
    # A count that the user gave is not the file's: it counts as 1.
    n_delta, n_episodes = (1 if name in given else getattr(config, name) for name in ("n_delta", "n_eval_episodes"))
    if (needed := iteration_bytes(run, n_delta, n_episodes)) > allowed:
        counts = f"n_delta={config.n_delta} with n_eval_episodes={config.n_eval_episodes}"
        return f"{counts}: {_size(needed)} in an iteration, more than {_size(allowed)}"
    if (config.noise_size or 0) > _MOST_NOISE:
        return f"noise_size={config.noise_size}, more than {_MOST_NOISE}"
    if run.stats_window_size > MOST_WINDOW and "stats_window_size" not in given:
        return f"stats_window_size={run.stats_window_size}, more than {MOST_WINDOW:,}"
    return ""


def iteration_bytes(run: Run, n_delta: int, n_eval_episodes: int) -> int:
    """Return the memory of an iteration, about: its candidates, and the results of their episodes."""
    n_candidates, n_rewards = 2 * n_delta, max(len(run.env.task_names), 1)
    of_episode = 8 * (4 + n_rewards) + (16 * run.env.n_obs if run.config.normalize_observations else 0)
    return n_candidates * (8 * run.n_weights + n_eval_episodes * of_episode)


def believed_folder(folder: str | None, name: str, trust: bool) -> str | None:
    """Return the folder that a file names for the events of TensorBoard; None, with a warning, if it is none that a file may name.

    It may be inside the current folder, the home of the user, or the folder for temporary files. `learn` makes a new folder in it,
    and changes no file that is there.
    """
    if folder is None or trust:
        return folder
    places = [os.path.realpath(place) for place in (os.curdir, os.path.expanduser("~"), tempfile.gettempdir())]
    if any(_is_inside(folder, place) for place in places):
        return folder
    warn_user(
        f"{name}: its log for TensorBoard went to {folder!r}. A file may name a folder in the current one, in your home or "
        "among the temporary ones: for another, give tensorboard_log=..., or trust=True if you know who made the file"
    )
    return None


def _is_inside(folder: str, place: str) -> bool:
    """Return True if a folder is in a place, after links are followed."""
    try:
        return os.path.commonpath([os.path.realpath(folder), place]) == place
    except ValueError:  # another drive, or characters that no path has
        return False


def believed_workers(n_workers: int) -> int:
    """Return the number of worker processes that start for a file: no more than there are CPUs, whatever it says."""
    return min(n_workers, max(available_cpus(), 1))


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:,.1f} GiB" if n_bytes < 2**60 else f"{n_bytes:.1e} bytes"

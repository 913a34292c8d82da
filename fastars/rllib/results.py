"""Results of `train` and `evaluate`, with RLlib's keys."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import socket
import time
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import Rollouts
from fastars.ars import ARS
from fastars.rllib.checkpoint import Counts


class Spent(NamedTuple):
    """Work of one iteration."""

    timesteps: int
    episodes: int
    seconds: float


class Since(NamedTuple):
    """Work since the run began, or since `restore`."""

    timesteps: int
    iterations: int
    seconds: float


def train_result(model: ARS, counts: Counts, spent: Spent, since: Since) -> dict[str, Any]:
    """Return the result of an iteration.

    Parameters
    ----------
    model : fastars.ARS
        The model after the iteration.
    counts : Counts
        Counts after the iteration.
    spent : Spent
        Work of the iteration.
    since : Since
        Work since `restore`.
    """
    means = {"episode_reward_mean": float(np.mean(counts.rewards)), "episode_len_mean": counts.length}
    return {
        **means,
        "sampler_results": dict(means),
        "episodes_total": model.num_episodes,
        "timesteps_this_iter": spent.timesteps,
        "timesteps_total": counts.timesteps,
        "num_env_steps_sampled": counts.timesteps,
        "training_iteration": model.iteration,
        "time_this_iter_s": spent.seconds,
        "time_total_s": counts.seconds,
        "time_since_restore": since.seconds,
        "timesteps_since_restore": since.timesteps,
        "iterations_since_restore": since.iterations,
        "done": False,
        "trial_id": "default",
        "date": datetime.now().strftime("%Y-%m-%d_%H-%M-%S"),
        "timestamp": int(time.time()),
        "pid": os.getpid(),
        "hostname": socket.gethostname(),
        "node_ip": _node_ip(),
        "info": _info(model, spent.episodes),
    }


@functools.cache
def _node_ip() -> str:
    """Return the address of this machine in its network. Connecting a socket of datagrams sends nothing."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 1))  # an address that is reserved for documentation
        return str(probe.getsockname()[0])
    return "127.0.0.1"


def _info(model: ARS, n_episodes: int) -> dict[str, Any]:
    record, theta = model.record, model.theta
    ratio = record["train/update_ratio"]
    return {
        "weights_norm": float(np.square(theta).sum()),
        "weights_std": float(np.std(theta)),
        "grad_norm": float(record["train/grad_norm_sq"] or 0.0),
        "update_ratio": math.inf if ratio is None else float(ratio),
        "episodes_this_iter": n_episodes,
        "episodes_so_far": model.num_episodes,
    }


def evaluation_result(rollouts: Rollouts) -> dict[str, Any]:
    """Return the result of an evaluation, under "evaluation"."""
    rewards = rollouts.returns
    return {
        "evaluation": {
            "episode_reward_mean": float(rewards.mean()),
            "episode_reward_min": float(rewards.min()),
            "episode_reward_max": float(rewards.max()),
            "episode_len_mean": float(rollouts.lengths.mean()),
            "episodes_this_iter": len(rewards),
        }
    }

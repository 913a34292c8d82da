"""Wrappers of Gymnasium that record episodes, around environments whose rollouts run compiled, without any wrapper."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from gymnasium.wrappers import RecordEpisodeStatistics, RecordVideo

from fastars._compiled.structs import FloatArray
from fastars._validate import warn_user
from fastars.envs import CompiledEnv
from fastars.envs.wrappers import layers
from fastars.sb3.monitor import Recorder, dealt


class StatisticsRecord(NamedTuple):
    """The queues of a `RecordEpisodeStatistics` around one of the environments that were given."""

    wrapper: RecordEpisodeStatistics
    first: int = 0
    n_envs: int = 1

    def write(self, returns: FloatArray, lengths: Any) -> None:
        """Add the episodes of the wrapper's environment. The time of each is its share of the time since the episodes before."""
        wrapper, (totals, counts) = self.wrapper, dealt(returns, lengths, self.first, self.n_envs)
        now, start = time.perf_counter(), wrapper.episode_start_time
        seconds = (now - start) / max(len(totals), 1) if start >= 0.0 else 0.0
        wrapper.return_queue.extend(totals)
        wrapper.length_queue.extend(counts)
        wrapper.time_queue.extend([seconds] * len(totals))
        wrapper.episode_count += len(totals)
        wrapper.episode_start_time = now


def recorders(given: Iterable[Any], env: Any) -> tuple[Recorder, ...]:
    """Return the records that rollouts must write, as they run without the wrappers; warn of wrappers that stay empty.

    Parameters
    ----------
    given : iterable of gymnasium.Env
        The environments of the user.
    env : CompiledEnv, GymEnv or EnvTuple
        The environment as the samplers see it. In Python, the wrappers themselves take part in rollouts.
    """
    envs = list(given)
    if not isinstance(env, CompiledEnv):
        return ()
    if any(layers(each, RecordVideo) for each in envs):
        warn_user(
            f"env {env.id!r} has the wrapper RecordVideo, and training makes no films: episodes run in compiled kernels, without "
            "pictures. Film the trained policy afterwards, or train with compiled=False"
        )
    found = [(i, wrapper) for i, each in enumerate(envs) for wrapper in layers(each, RecordEpisodeStatistics)]
    return tuple(StatisticsRecord(wrapper, i, len(envs)) for i, wrapper in found)

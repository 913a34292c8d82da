"""The `Monitor` wrappers of stable-baselines3: find them, write the episodes of rollouts into them, and make infos as they do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from fastars._compiled.structs import FloatArray
from fastars._validate import warn_user
from fastars.sb3.classes import changed_method, is_sb3


class Recorder(Protocol):
    """The record of episodes that a wrapper around an environment keeps. Rollouts run without the wrapper, and are written here."""

    def write(self, returns: FloatArray, lengths: Any) -> None:
        """Add the episodes of an iteration: returns and lengths, (m,)."""


class MonitorRecord(NamedTuple):
    """The lists and the file of a `Monitor` for one environment, or of a `VecMonitor` for all environments."""

    monitor: Any
    first: int = 0  # index of the environment that the record is about
    n_envs: int = 1  # number of environments with a record each; 1: the record is about all of them

    def write(self, returns: FloatArray, lengths: Any) -> None:
        """Add the episodes of the record's environment: episodes are dealt out to the environments in turn."""
        monitor, (totals, counts) = self.monitor, dealt(returns, lengths, self.first, self.n_envs)
        seconds = time.time() - monitor.t_start
        if is_sb3(monitor, "VecMonitor"):
            monitor.episode_count += len(totals)
        else:
            monitor.episode_returns.extend(totals)
            monitor.episode_lengths.extend(counts)
            monitor.episode_times.extend([seconds] * len(totals))
            monitor.total_steps += sum(counts)
        if monitor.results_writer is not None:
            write_rows(monitor.results_writer, seconds, totals, counts)


def dealt(returns: FloatArray, lengths: Any, first: int, n_envs: int) -> tuple[list[float], list[int]]:
    """Return the returns and lengths of every n-th episode from the first one on."""
    return returns[first::n_envs].tolist(), lengths[first::n_envs].tolist()


def write_rows(writer: Any, seconds: float, returns: list[float], lengths: list[int]) -> None:
    """Add one row for each episode to the file of a `ResultsWriter`.

    Columns for keywords stay empty: rollouts keep no keywords of resets and no keywords of infos. A full disk loses rows, with a
    warning, never the run.
    """
    end = f"{seconds:.6f}" + "," * (len(writer.logger.fieldnames) - 3) + "\r\n"
    file = writer.file_handler
    try:
        file.write("".join(f"{total:.6f},{length},{end}" for total, length in zip(returns, lengths, strict=True)))
        file.flush()
    except OSError as error:
        warn_user(f"rows of {file.name} are lost, training goes on: {error.strerror}", RuntimeWarning)


def unwrap_monitors(env: Any) -> tuple[Any, tuple[MonitorRecord, ...]]:
    """Return an environment without the `Monitor` wrappers around it, and the records of these wrappers.

    A subclass, or a `Monitor` with other methods, stays where it is: it may change what steps return.
    """
    records: tuple[MonitorRecord, ...] = ()
    while is_sb3(env, "Monitor") and changed_method(env) is None:
        records += (MonitorRecord(env),)
        env = env.env
    return env, records


class EpisodeInfos(Sequence[dict[str, Any]]):
    """Infos of episodes, each as stable-baselines3's `Monitor` writes it at the last step: return "r", length "l" and time "t"."""

    def __init__(self, returns: FloatArray, lengths: Any) -> None:
        self._returns, self._lengths = returns, lengths

    def __len__(self) -> int:
        return len(self._returns)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return EpisodeInfos(self._returns[index], self._lengths[index])
        return {"episode": {"r": float(self._returns[index]), "l": int(self._lengths[index]), "t": 0.0}}

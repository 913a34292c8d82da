"""The `Monitor` wrappers of stable-baselines3: find their files, write rows into these, and make infos as they do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from fastars._compiled.structs import FloatArray
from fastars._validate import warn_user
from fastars.sb3.classes import changed_method, is_sb3


class MonitorFile(NamedTuple):
    """A file of episodes that a `Monitor` keeps for one environment, or a `VecMonitor` for all environments."""

    writer: Any  # the `ResultsWriter` of the monitor
    start: float  # of the monitor's clock, in seconds since 1970
    first: int = 0  # index of the environment that the file is about
    n_envs: int = 1  # number of environments with a file each; 1: the file is about all of them

    def write(self, returns: FloatArray, lengths: Any) -> None:
        """Add one row for each episode of the file's environment.

        Episodes are dealt out to the environments in turn. Columns for keywords stay empty: rollouts keep no keywords of resets and
        no keywords of infos. A full disk loses rows, with a warning, never the run.
        """
        returns, lengths = returns[self.first :: self.n_envs], lengths[self.first :: self.n_envs]
        end = f"{time.time() - self.start:.6f}" + "," * (len(self.writer.logger.fieldnames) - 3) + "\r\n"
        rows = zip(returns.tolist(), lengths.tolist(), strict=True)
        file = self.writer.file_handler
        try:
            file.write("".join(f"{total:.6f},{length},{end}" for total, length in rows))
            file.flush()
        except OSError as error:
            warn_user(f"rows of {file.name} are lost, training goes on: {error.strerror}", RuntimeWarning)


def file_of(monitor: Any) -> tuple[MonitorFile, ...]:
    """Return the file of a `Monitor` or `VecMonitor`; an empty tuple if it writes none."""
    return () if monitor.results_writer is None else (MonitorFile(monitor.results_writer, monitor.t_start),)


def unwrap_monitors(env: Any) -> tuple[Any, tuple[MonitorFile, ...]]:
    """Return an environment without the `Monitor` wrappers around it, and the files of these wrappers.

    A subclass, or a `Monitor` with other methods, stays where it is: it may change what steps return.
    """
    files: tuple[MonitorFile, ...] = ()
    while is_sb3(env, "Monitor") and changed_method(env) is None:
        files += file_of(env)
        env = env.env
    return env, files


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

"""Run batches of episodes in worker processes: start them, give them episodes, replace those that end or hang."""

from __future__ import annotations

import contextlib
import os
import pickle
import time
import weakref
from collections.abc import Iterator
from multiprocessing.connection import wait
from typing import Any

from fastars._compiled.structs import Rollouts
from fastars.envs import WorkerError
from fastars.samplers import process
from fastars.samplers.batch import Batch, Report
from fastars.samplers.episode_queue import EpisodeQueue, no_episodes
from fastars.samplers.process import WorkerProcess

_CLOSE_SECONDS = 2.0  # for workers to close their environments
_MAX_LOSSES = 10  # of workers, one after the other, with no batch finished between them
_AHEAD_BYTES = 1 << 15  # of a batch for a worker that is busy: a connection takes them though nobody reads
_LOOK_SECONDS = 0.5  # between two looks at workers that send nothing


class Pool:
    """Runs batches of episodes in worker processes. The results depend neither on their number nor on how often one is replaced.

    Parameters
    ----------
    order : bytes
        The arguments of `Episodes` in the workers, pickled.
    n_workers : int
    env_timeout : float or None
        Seconds after which a worker is replaced whose environment does not return from a call.
    n_lanes : int or None
        Environments side by side in each worker, for those who ask; None if the workers choose.

    Attributes
    ----------
    n_restarts : int
        Workers that were replaced since `run` or `start` was called last.
    """

    def __init__(self, order: bytes, n_workers: int, env_timeout: float | None, n_lanes: int | None = None) -> None:
        self.n_workers = n_workers
        self.env_timeout = env_timeout
        self.n_lanes = n_lanes
        self.n_restarts = 0
        self._order = order
        self._workers: list[WorkerProcess] = []
        self._queue = no_episodes()
        self._losses = 0  # of workers that were killed, since one finished something
        self._n_late = 0  # workers that were not ready in time, since one was
        self._episode_seconds: float | None = None  # of a worker's time
        self._pid = os.getpid()
        weakref.finalize(self, _close, self._workers, self._pid)

    # --- Called by the sampler

    def start(self, wait: bool = False) -> None:
        """Start the processes that are missing; with `wait`, return when all are ready.

        Raises
        ------
        WorkerError
            With `wait`, if a worker can't make its environment, or if workers are killed again and again.
        """
        self._refuse_forks()
        self._reset_counts()
        self._start(self.n_workers)
        if not wait:
            return
        with self._idle_after_errors():
            while sum(worker.is_ready for worker in self._workers) < self.n_workers:
                self._start(self.n_workers)
                self._listen()

    def run(self, batch: Batch, report: Report) -> Rollouts:
        """Run the episodes of a batch, and call `report` for each attempt that failed.

        Returns
        -------
        Rollouts
            With the number of workers that were replaced.

        Raises
        ------
        WorkerError
            If a worker can't make its environment, or if workers are killed again and again.
        """
        self._refuse_forks()
        self._reset_counts()
        self._queue = EpisodeQueue(batch, report, self.n_workers, self._episode_seconds)
        try:
            with self._idle_after_errors():
                while self._queue or any(worker.episodes for worker in self._workers):
                    self._deal()
                    self._listen()
            return self._queue.out._replace(n_restarts=self.n_restarts)
        finally:
            self._episode_seconds = self._queue.episode_seconds
            self._queue = no_episodes()

    def close(self) -> None:
        """Close the environments and end the processes. `run` starts new ones."""
        _close(self._workers, self._pid)

    # --- Start and end of processes

    def _refuse_forks(self) -> None:
        if os.getpid() != self._pid:
            raise WorkerError(
                f"the worker processes belong to process {self._pid}, of which this one is a fork: make a sampler here"
            )

    def _reset_counts(self) -> None:
        self.n_restarts = self._losses = self._n_late = 0

    def _start(self, n: int) -> None:
        """Start processes until there are n."""
        while len(self._workers) < n:
            self._workers.append(WorkerProcess(self._order))

    @contextlib.contextmanager
    def _idle_after_errors(self) -> Iterator[None]:
        """End the workers that are busy or not ready if the block raises, for example after Ctrl-C. The others are kept."""
        try:
            yield
        except BaseException:
            for worker in [worker for worker in self._workers if worker.episodes or not worker.is_ready]:
                self._workers.remove(worker)
                worker.end()
                worker.release()
            raise

    # --- Episodes go out

    def _deal(self) -> None:
        """Give episodes to idle workers, and start workers if there are too few; then give busy ones their next batch.

        A worker that waits for its next message loses 0.3 to 0.8 ms where all CPUs are busy.
        """
        n_busy = sum(bool(worker.episodes) for worker in self._workers)
        self._start(min(self.n_workers, n_busy + len(self._queue)))
        ready = [worker for worker in self._workers if worker.is_ready]
        for worker in ready:
            if not worker.episodes and self._queue:
                worker.give(*self._queue.take())
        for worker in ready:
            if not worker.later and len(self._queue) > self.n_workers and self._queue.next_bytes() <= _AHEAD_BYTES:
                worker.give(*self._queue.take())

    # --- Messages come back

    def _listen(self) -> None:
        """Receive a message of each worker that sent one, and look at the others."""
        patience = _LOOK_SECONDS if self.env_timeout is None else min(self.env_timeout / 4, _LOOK_SECONDS)
        heard = wait([worker.connection for worker in self._workers], patience)
        for worker in list(self._workers):
            if worker.connection in heard:
                self._receive(worker)
            elif worker.has_ended():
                self._lose(worker)
            elif worker.episodes and self.env_timeout is not None and worker.silent_seconds() > self.env_timeout:
                self._replace_hanging(worker, self.env_timeout)
            elif not worker.is_ready and worker.silent_seconds() > process.START_SECONDS:
                self._replace_late(worker)

    def _receive(self, worker: WorkerProcess) -> None:
        try:
            kind, content = worker.connection.recv()
        except BlockingIOError:  # the patience of the connection is over
            text = "it stopped in the middle of a message; its worker process was ended."
            self._replace(worker, worker.current_episode(), text)
        except (EOFError, OSError, pickle.UnpicklingError):
            self._lose(worker)
        else:
            self._handle(worker, kind, content)

    def _handle(self, worker: WorkerProcess, kind: str, content: Any) -> None:
        """Handle a message of a worker."""
        if kind == "broken":
            raise WorkerError(f"a worker process could not make its environment:\n{content}")
        if kind == "ready":
            worker.is_ready, self._n_late = True, 0
            worker.set_patience(self.env_timeout)
        elif kind == "failed":
            episode, attempt, text = content
            self._queue.fail(worker.episodes[episode], attempt, text)
        else:
            part, seconds, mark = content
            self._queue.write(worker.episodes, part, seconds)
            worker.next_batch(mark)
            self._losses = 0

    # --- Workers that are replaced

    def _lose(self, worker: WorkerProcess) -> None:
        """Replace a worker whose process ended; its current episode is to blame, unless somebody killed it."""
        how, was_killed = worker.exit_reason()
        if not was_killed and not worker.is_ready:
            raise WorkerError(
                f"a worker process ended ({how}) before it was ready; what it printed is above.\n{worker.traceback()}"
            )
        guilty = None if was_killed else worker.current_episode()
        if guilty is None:
            self._losses += 1
            if self._losses >= _MAX_LOSSES:
                raise WorkerError(
                    f"{_MAX_LOSSES} worker processes ended ({how}), one after the other, and none finished an episode"
                )
        self._replace(worker, guilty, f"its worker process ended ({how}).\n{worker.traceback()}")

    def _replace_hanging(self, worker: WorkerProcess, seconds: float) -> None:
        """Replace a worker whose environment did not return from a call in time."""
        found = worker.asked_traceback()
        text = f"no step for {seconds:g} s (env_timeout); its worker process was ended.\n{found}"
        self._replace(worker, worker.current_episode(), text)

    def _replace_late(self, worker: WorkerProcess) -> None:
        """Replace a worker that was not ready in time, once for each worker."""
        self._n_late += 1
        if self._n_late > self.n_workers:  # the second attempt
            found = worker.asked_traceback()
            raise WorkerError(f"a worker process was not ready after {process.START_SECONDS:g} s.\n{found}")
        self._replace(worker, None, "")

    def _replace(self, worker: WorkerProcess, guilty: int | None, text: str) -> None:
        """End a worker, and let its episodes wait for another one. `text` describes the failure of the guilty episode, if any."""
        worker.end()
        worker.release()
        self._workers.remove(worker)
        self.n_restarts += 1
        if guilty is not None:
            self._queue.fail_again(guilty, text)
        self._queue.put_back(worker.episodes + worker.later)


def _close(workers: list[WorkerProcess], pid: int) -> None:
    """End the workers of process `pid`, if it is this process. Idle workers get time to close their environments."""
    if os.getpid() != pid:
        return
    deadline = time.monotonic() + _CLOSE_SECONDS
    for worker in workers:
        worker.connection.close()
    for worker in workers:
        worker.end(max(deadline - time.monotonic(), 0.0) if worker.is_idle() else 0.0)
        worker.release()
    workers.clear()

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
from fastars._runtime.signals import HeldSignals, let_signals_in, signals_wait
from fastars.envs import WorkerError
from fastars.samplers import process
from fastars.samplers.batch import Batch, Report
from fastars.samplers.batch_sizes import BatchSizes
from fastars.samplers.episode_queue import EpisodeQueue, no_episodes
from fastars.samplers.process import WorkerProcess

_CLOSE_SECONDS = 2.0  # for workers to close their environments
_MAX_LOSSES = 10  # of workers, one after the other, with no batch finished between them
_AHEAD_BYTES = 1 << 15  # of a batch for a worker that is busy: a connection takes them though nobody reads
_LOOK_SECONDS = 0.1  # between two looks at signals, and at workers that send nothing


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
        self._n_unready = 0  # workers that were lost before they were ready, since one was
        self._sizes = BatchSizes(n_workers)
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
        with HeldSignals(), self._idle_after_errors():
            self._start(self.n_workers)
            while wait and sum(worker.is_ready for worker in self._workers) < self.n_workers:
                self._start(self.n_workers)
                self._listen()
                let_signals_in()

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
        self._queue = EpisodeQueue(batch, report, self._sizes)
        try:
            with HeldSignals(), self._idle_after_errors():
                while self._queue or self._queue.n_suspects or any(worker.episodes for worker in self._workers):
                    self._deal()
                    self._listen()
                    let_signals_in()
            return self._queue.out._replace(n_restarts=self.n_restarts)
        finally:
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
        self.n_restarts = self._losses = self._n_unready = 0

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

        A worker that waits for its next message loses 0.3 to 0.8 ms where all CPUs are busy. A suspect is for a fresh worker alone:
        there is one, as each suspect has ended one.
        """
        n_busy = sum(bool(worker.episodes) for worker in self._workers)
        n_used = sum(not worker.is_fresh for worker in self._workers)
        self._start(min(self.n_workers, max(n_busy + len(self._queue), n_used + self._queue.n_suspects)))
        ready = [worker for worker in self._workers if worker.is_ready]
        for worker in ready:
            if worker.is_fresh and self._queue.n_suspects:
                worker.give(*self._queue.take_suspect(), alone=True)
            elif not worker.episodes and self._queue:
                worker.give(*self._queue.take())
        for worker in ready:
            is_full = worker.later or worker.is_alone or len(self._queue) <= self.n_workers
            if not is_full and self._queue.next_bytes() <= _AHEAD_BYTES:
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
                found = worker.asked_traceback()
                text = f"no step for {self.env_timeout:g} s (env_timeout); its worker process was ended.\n{found}"
                self._replace_silent(worker, text)
            elif not worker.is_ready and worker.silent_seconds() > process.START_SECONDS:
                found = worker.asked_traceback()
                self._replace_unready(worker, f"a worker process was not ready after {process.START_SECONDS:g} s.\n{found}")

    def _receive(self, worker: WorkerProcess) -> None:
        try:
            kind, content = worker.connection.recv()
        except BlockingIOError:  # the patience of the connection is over
            self._replace_silent(worker, "it stopped in the middle of a message; its worker process was ended.")
        except (EOFError, OSError, pickle.UnpicklingError):
            self._lose(worker)
        else:
            self._handle(worker, kind, content)

    def _handle(self, worker: WorkerProcess, kind: str, content: Any) -> None:
        """Handle a message of a worker."""
        if kind == "broken":
            self._replace_unready(worker, f"a worker process could not make its environment:\n{content}")
        elif kind == "ready":
            worker.is_ready, self._n_unready = True, 0
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
        """Replace a worker whose process ended, and suspect its current episode."""
        how, was_killed = worker.exit_reason()
        found = worker.traceback()
        if not worker.is_ready:
            text = f"a worker process ended ({how}) before it was ready; what it printed is above.\n{found}"
            self._replace_unready(worker, text, _MAX_LOSSES - 1 if was_killed else self.n_workers)
            return
        guilty = worker.current_episode()
        if guilty is None:
            self._losses += 1
            if self._losses >= _MAX_LOSSES:
                raise WorkerError(
                    f"{_MAX_LOSSES} worker processes ended ({how}), one after the other, and none finished an episode"
                )
        else:
            self._queue.process_ended(guilty, f"its worker process ended ({how}).\n{found}", worker.is_alone)
        self._replace(worker)

    def _replace_silent(self, worker: WorkerProcess, text: str) -> None:
        """Replace a worker that does not go on; its current episode has failed."""
        if (guilty := worker.current_episode()) is not None:
            self._queue.fail_again(guilty, text)
        self._replace(worker)

    def _replace_unready(self, worker: WorkerProcess, text: str, n_allowed: int | None = None) -> None:
        """Replace a worker that could not start; raise if too many were lost so, by default more than there are workers."""
        self._n_unready += 1
        if self._n_unready > (self.n_workers if n_allowed is None else n_allowed):
            raise WorkerError(text)
        self._replace(worker)

    def _replace(self, worker: WorkerProcess) -> None:
        """End a worker, and let its episodes wait for another one."""
        worker.end()
        worker.release()
        self._workers.remove(worker)
        self.n_restarts += 1
        self._queue.put_back(worker.episodes + worker.later)


def _close(workers: list[WorkerProcess], pid: int) -> None:
    """End the workers of process `pid`, if it is this process.

    Idle workers get time to close their environments, unless a signal comes.
    """
    if os.getpid() != pid:
        return
    deadline = time.monotonic() + _CLOSE_SECONDS
    with HeldSignals():
        idle = [worker for worker in workers if worker.is_idle()]
        for worker in workers:
            worker.connection.close()
        while time.monotonic() < deadline and not signals_wait() and any(worker.process.poll() is None for worker in idle):
            time.sleep(0.005)
        for worker in workers:
            worker.end()
            worker.release()
        workers.clear()

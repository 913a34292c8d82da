"""Worker processes: started, given batches of episodes, watched, replaced.

A worker is a fresh interpreter, not a fork of this one: it has none of its threads or locks, and the user's script is not imported
again. It is a session of its own, so that a Ctrl-C on the terminal reaches this process alone, which then stops its workers.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import weakref
from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import Pipe, wait
from typing import Any

import numpy as np

from fastars._compiled.structs import Rollouts, empty_rollouts
from fastars.envs import WorkerError
from fastars.samplers.episodes import ATTEMPTS, MARK_BITS, Batch, Report, give_up
from fastars.samplers.worker import ASK, NOTES_BYTES, UNBORN

_BATCH_SECONDS = 0.05  # of a worker's batch of episodes, about: a message costs some 200 us
_LEAST_SECONDS = 0.002  # of the smallest batches
_START_SECONDS = 120.0  # until a worker must be ready; an environment may load much
_CLOSE_SECONDS = 2.0  # for workers to close their environments
_MAX_LOSSES = 10  # of workers, one after the other, with no batch finished between them
_AHEAD_BYTES = 1 << 15  # of a batch for a worker that is busy: a connection takes them though nobody reads
_MAX_BATCH = 1 << (MARK_BITS - 1)
_LOOK_SECONDS = 0.5  # between two looks after workers that say nothing
_KILLERS = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}  # from outside: no episode is to blame
_BOOTSTRAP = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from fastars.samplers.worker import main; main(*map(int, sys.argv[2:]))"
)


class _Worker:
    """A worker process, the ways to it, and what it was given to do."""

    def __init__(self, order: bytes) -> None:
        self._notes = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the worker
        self._notes.truncate(NOTES_BYTES)
        self._marks = mmap.mmap(self._notes.fileno(), NOTES_BYTES)
        self.connection, theirs = Pipe()
        path = json.dumps([entry or os.getcwd() for entry in sys.path])
        with theirs, tempfile.TemporaryFile() as file:
            pickle.dump((sys.argv, order), file)
            file.seek(0)
            ends = (theirs.fileno(), self._notes.fileno(), file.fileno())
            command = [sys.executable, "-c", _BOOTSTRAP, path, *map(str, ends)]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=ends, start_new_session=True)
        self.is_ready = False
        self.episodes: list[int] = []  # that it has to run
        self.later: list[int] = []  # that it has to run after them
        self.set_patience(_START_SECONDS)
        self._look(self._mark())

    def set_patience(self, seconds: float | None) -> None:
        """How long to wait for a process that is stopped while it reads or writes a message; None: for ever."""
        whole, part = divmod(seconds or 0.0, 1.0)
        interval = struct.pack("ll", int(whole), int(1e6 * part))
        with socket.socket(fileno=os.dup(self.connection.fileno())) as end:
            for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
                end.setsockopt(socket.SOL_SOCKET, option, interval)

    def give(self, episodes: list[int], batch: Batch) -> None:
        """Let it run episodes, after those that it has. That a worker is gone is found out when it is listened to."""
        if self.episodes:
            self.later = episodes
        else:
            self.episodes = episodes
            self._look(self._mark())
        with contextlib.suppress(OSError):
            self.connection.send(batch)

    def go_on(self, mark: int) -> None:
        """Its episodes are done, `mark` was their last one: it runs those that it has besides."""
        self.episodes, self.later = self.later, []
        self._look(mark)

    def _look(self, mark: int) -> None:
        """Take this for the last thing that it was seen to do."""
        self._first_mark = self._last_mark = mark
        self._since = time.monotonic()

    def _mark(self) -> int:
        return int.from_bytes(self._marks[:8], sys.byteorder, signed=True)

    def seconds(self) -> float:
        """Since it was seen to go on to another call of an environment, or was sent a message."""
        if (mark := self._mark()) != self._last_mark:
            self._last_mark, self._since = mark, time.monotonic()
        return time.monotonic() - self._since

    def episode(self) -> int | None:
        """The episode whose environment it called last; None if it called none since the last message."""
        mark = self._mark()
        return None if mark == self._first_mark or not self.episodes else self.episodes[(mark % (1 << MARK_BITS)) >> 1]

    def is_idle(self) -> bool:
        """Whether it has an environment, or makes it, and runs no episode."""
        return not self.episodes and self._mark() != UNBORN

    def traceback(self) -> str:
        """What Python wrote when the process crashed or was asked."""
        return os.pread(self._notes.fileno(), 1 << 20, NOTES_BYTES).decode(errors="replace").strip()

    def ask(self) -> None:
        """Let it write where it is."""
        self.process.send_signal(ASK)
        deadline = time.monotonic() + 0.5
        while not self.traceback() and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.02)  # the rest of it

    def end(self, patience: float = 0.0) -> int:
        """Wait so many seconds for the end of the process, then kill it; its exit code."""
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def release(self) -> None:
        """Close what leads to a process that has ended."""
        self.connection.close()
        self._marks.close()
        self._notes.close()
        if self.process.stdin is not None:
            self.process.stdin.close()


class Pool:
    """Runs batches of episodes in worker processes; the results depend neither on their number nor on what becomes of them.

    Parameters
    ----------
    order : bytes
        The arguments of `Episodes` in the workers, pickled.
    n_workers : int
    env_timeout : float or None
        Seconds after which a worker is replaced whose environment does not return from a call.
    """

    def __init__(self, order: bytes, n_workers: int, env_timeout: float | None) -> None:
        self.n_workers = n_workers
        self.env_timeout = env_timeout
        self.n_restarts = 0
        self._order = order
        self._workers: list[_Worker] = []
        self._waiting: deque[int] = deque()  # episodes that no worker has
        self._losses = 0  # of workers that were killed, since one finished something
        self._n_late = 0  # workers that were not ready in time, since one was
        self._episode_seconds: float | None = None  # of a worker's time
        self._pid = os.getpid()
        weakref.finalize(self, _close, self._workers, self._pid)

    def start(self) -> None:
        """Start the processes that are missing, and wait for none: they get ready while this one goes on."""
        self._refuse_forks()
        self._start(self.n_workers)

    def wait(self) -> None:
        """Start the processes that are missing, and wait until all are ready.

        Raises
        ------
        WorkerError
            As `run` does.
        """
        self._refuse_forks()
        self._losses = self._n_late = 0
        with self._unharmed():
            while sum(worker.is_ready for worker in self._workers) < self.n_workers:
                self._start(self.n_workers)
                self._listen()

    def close(self) -> None:
        """Close the environments and end the processes. `run` starts others."""
        _close(self._workers, self._pid)

    def run(self, batch: Batch, report: Report) -> Rollouts:
        """Run the episodes of a batch, and tell `report` of attempts that failed.

        Raises
        ------
        WorkerError
            If a worker can't make its environment, or if workers are killed again and again.
        """
        self._refuse_forks()
        self._batch, self._report = batch, report
        self._out = empty_rollouts(len(batch.seeds), len(batch.filter.mean), batch.track, len(batch.reward_weights))
        self._attempts = batch.attempts.copy()
        self._waiting = deque(range(len(batch.seeds)))
        self._losses = self._n_late = 0
        try:
            with self._unharmed():
                while self._waiting or any(worker.episodes for worker in self._workers):
                    self._deal()
                    self._listen()
        finally:
            del self._batch, self._report
        return self._out

    def _refuse_forks(self) -> None:
        if os.getpid() != self._pid:
            raise WorkerError(
                f"the worker processes belong to process {self._pid}, of which this one is a fork: make a sampler here"
            )

    def _start(self, n: int) -> None:
        """Start processes until there are n."""
        while len(self._workers) < n:
            self._workers.append(_Worker(self._order))

    @contextlib.contextmanager
    def _unharmed(self) -> Iterator[None]:
        """After an exception, Ctrl-C's among them, there are only workers that have nothing to do."""
        try:
            yield
        except BaseException:
            for worker in [worker for worker in self._workers if worker.episodes or not worker.is_ready]:
                self._workers.remove(worker)
                worker.end()
                worker.release()
            raise

    def _deal(self) -> None:
        """Give episodes to workers that have none, and start some if there are too few; then to those that will need some.

        A worker that waits for its next message loses 0.3 to 0.8 ms where all CPUs are busy.
        """
        n_busy = sum(bool(worker.episodes) for worker in self._workers)
        self._start(min(self.n_workers, n_busy + len(self._waiting)))
        ready = [worker for worker in self._workers if worker.is_ready]
        for worker in ready:
            if not worker.episodes and self._waiting:
                self._give(worker)
        for worker in ready:
            if not worker.later and len(self._waiting) > self.n_workers and self._part_bytes() <= _AHEAD_BYTES:
                self._give(worker)

    def _give(self, worker: _Worker) -> None:
        episodes = [self._waiting.popleft() for _ in range(self._batch_size())]
        worker.give(episodes, self._part(episodes))

    def _part_bytes(self) -> int:
        """Of the next batch of episodes, at most."""
        batch = self._batch
        return 8 * (2 * len(batch.filter.mean) + self._batch_size() * (batch.weights.shape[1] + 3))

    def _batch_size(self) -> int:
        """Episodes for a worker: enough for `_BATCH_SECONDS`, but fewer towards the end, so that all finish together."""
        left, share = len(self._waiting), len(self._waiting) / (2 * self.n_workers)
        if self._episode_seconds is None:
            return max(int(share / 4), 1)
        least, enough = (seconds / self._episode_seconds for seconds in (_LEAST_SECONDS, _BATCH_SECONDS))
        return min(max(int(max(min(share, enough), least)), 1), left, _MAX_BATCH)

    def _part(self, episodes: list[int]) -> Batch:
        """The batch of these episodes, with the weights that they need."""
        rows, which = np.unique(self._batch.rows[episodes], return_inverse=True)
        return self._batch._replace(
            weights=self._batch.weights[rows], rows=which, seeds=self._batch.seeds[episodes], attempts=self._attempts[episodes]
        )

    def _listen(self) -> None:
        """Hear a message of each worker that sent one; look after the others."""
        patience = _LOOK_SECONDS if self.env_timeout is None else min(self.env_timeout / 4, _LOOK_SECONDS)
        heard = wait([worker.connection for worker in self._workers], patience)
        for worker in list(self._workers):
            if worker.connection in heard:
                try:
                    kind, content = worker.connection.recv()
                except BlockingIOError:  # its patience is over
                    self._replace(worker, worker.episode(), "it stopped in the middle of a message; its worker process was ended.")
                except (EOFError, OSError, pickle.UnpicklingError):
                    self._lose(worker)
                else:
                    self._hear(worker, kind, content)
            elif worker.process.poll() is not None and not worker.connection.poll():
                self._lose(worker)
            elif worker.episodes and self.env_timeout is not None and worker.seconds() > self.env_timeout:
                worker.ask()
                text = f"no step for {self.env_timeout:g} s (env_timeout); its worker process was ended.\n{worker.traceback()}"
                self._replace(worker, worker.episode(), text)
            elif not worker.is_ready and worker.seconds() > _START_SECONDS:
                self._n_late += 1
                if self._n_late > self.n_workers:  # the second attempt
                    worker.ask()
                    raise WorkerError(f"a worker process was not ready after {_START_SECONDS:g} s.\n{worker.traceback()}")
                self._replace(worker, None, "")

    def _hear(self, worker: _Worker, kind: str, content: Any) -> None:
        if kind == "broken":
            raise WorkerError(f"a worker process could not make its environment:\n{content}")
        if kind == "ready":
            worker.is_ready, self._n_late = True, 0
            worker.set_patience(self.env_timeout)
        elif kind == "failed":
            episode, attempt, text = content
            self._fail(worker.episodes[episode], attempt, text)
        else:
            part, seconds, mark = content
            each = seconds / len(worker.episodes)
            self._episode_seconds = each if self._episode_seconds is None else (self._episode_seconds + each) / 2
            for ours, theirs in zip(_arrays(self._out), _arrays(part), strict=True):
                if len(theirs):
                    ours[worker.episodes] = theirs
            worker.go_on(mark)
            self._losses = 0

    def _lose(self, worker: _Worker) -> None:
        """Replace a worker whose process ended; the episode that it was in is to blame, unless somebody killed it."""
        code = worker.end(patience=10.0)  # a process closes its connection before it has its exit code, 1 s on a busy machine
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        text = f"its worker process ended ({how}).\n{worker.traceback()}"
        was_killed = -code in _KILLERS
        if not was_killed and not worker.is_ready:
            raise WorkerError(
                f"a worker process ended ({how}) before it was ready; what it printed is above.\n{worker.traceback()}"
            )
        guilty = None if was_killed else worker.episode()
        if guilty is None:
            self._losses += 1
            if self._losses >= _MAX_LOSSES:
                raise WorkerError(
                    f"{_MAX_LOSSES} worker processes ended ({how}), one after the other, and none finished an episode"
                )
        self._replace(worker, guilty, text)

    def _replace(self, worker: _Worker, guilty: int | None, text: str) -> None:
        """Let the episodes of a worker wait for another one. `text` says what the guilty one did, if there is one."""
        worker.end()
        worker.release()
        self._workers.remove(worker)
        self.n_restarts += 1
        if guilty is not None:
            self._fail(guilty, int(self._attempts[guilty]) + 1, text)
        left = worker.episodes + worker.later
        self._waiting.extendleft(episode for episode in reversed(left) if self._attempts[episode] < ATTEMPTS)

    def _fail(self, episode: int, attempt: int, text: str) -> None:
        self._attempts[episode] = attempt
        if attempt >= ATTEMPTS:
            give_up(self._out, episode)
        self._report(episode, attempt, text)


def _arrays(out: Rollouts) -> tuple[Any, ...]:
    """Those that have a row per episode, the moments none if they are not tracked."""
    return out.returns, out.lengths, out.status, *out.moments, out.task_returns


def _close(workers: list[_Worker], pid: int) -> None:
    """End the workers of process `pid`, if that is this one: those that run no episode may close their environments."""
    if os.getpid() != pid:
        return
    deadline = time.monotonic() + _CLOSE_SECONDS
    for worker in workers:
        worker.connection.close()
    for worker in workers:
        worker.end(max(deadline - time.monotonic(), 0.0) if worker.is_idle() else 0.0)
        worker.release()
    workers.clear()

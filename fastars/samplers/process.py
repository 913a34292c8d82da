"""One worker process: started, given batches of episodes, watched, ended.

A worker is a fresh interpreter, not a fork of this process: it has none of its threads or locks, and the user's script is not
imported again. It is its own session, so that a Ctrl-C on the terminal reaches this process alone, which then stops its workers.
"""

from __future__ import annotations

import contextlib
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
from multiprocessing.connection import Pipe

from fastars._runtime.interpreter import python_command
from fastars.samplers.batch import MARK_BITS, Batch
from fastars.samplers.worker import ASK, NOTES_BYTES, UNBORN

START_SECONDS = 120.0  # until a worker must be ready; an environment may load much
_EXIT_SECONDS = 10.0  # a process closes its connection before it has its exit code, 1 s on a busy machine
_NAMED = set(signal.Signals)  # not all signals have names
# Signals by which somebody ends a process from outside.
_KILLERS = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}
_BOOTSTRAP = "from fastars.samplers.worker import main; main(*map(int, sys.argv[1:]))"


class WorkerProcess:
    """A worker process, the connection to it, and the episodes that it was given.

    Parameters
    ----------
    order : bytes
        The arguments of `Episodes` in the worker, pickled.

    Attributes
    ----------
    connection : multiprocessing.connection.Connection
    process : subprocess.Popen
    is_ready : bool
        True once it has made its first environment.
    is_fresh : bool
        True until it is given a batch.
    is_alone : bool
        True while it is fresh but for the single episode that it runs.
    episodes, later : list of int
        The episodes that it runs, and the batch that it runs after them.
    """

    def __init__(self, order: bytes) -> None:
        self._notes = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the worker
        self._notes.truncate(NOTES_BYTES)
        self._marks = mmap.mmap(self._notes.fileno(), NOTES_BYTES)
        self.connection, other_end = Pipe()
        with other_end, tempfile.TemporaryFile() as file:
            pickle.dump((sys.argv, order), file)
            file.seek(0)
            ends = (other_end.fileno(), self._notes.fileno(), file.fileno())
            command = [*python_command(_BOOTSTRAP), *map(str, ends)]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=ends, start_new_session=True)
        self.is_ready, self.is_fresh, self.is_alone = False, True, False
        self.episodes: list[int] = []
        self.later: list[int] = []
        self.set_patience(START_SECONDS)
        self._watch_from(self._mark())

    def set_patience(self, seconds: float | None) -> None:
        """Set how long to wait for a process that is stopped while it reads or writes a message; None: no limit."""
        whole, part = divmod(seconds or 0.0, 1.0)
        interval = struct.pack("ll", int(whole), int(1e6 * part))
        with socket.socket(fileno=os.dup(self.connection.fileno())) as end:
            for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
                end.setsockopt(socket.SOL_SOCKET, option, interval)

    def give(self, episodes: list[int], batch: Batch, alone: bool = False) -> None:
        """Give it episodes to run after those that it has. A dead worker is detected at the next receive."""
        self.is_fresh, self.is_alone = False, alone
        if self.episodes:
            self.later = episodes
        else:
            self.episodes = episodes
            self._watch_from(self._mark())
        with contextlib.suppress(OSError):
            self.connection.send(batch)

    def next_batch(self, mark: int) -> None:
        """Go on to its later episodes: the others are done, and `mark` was their last one."""
        self.episodes, self.later, self.is_alone = self.later, [], False
        self._watch_from(mark)

    def _watch_from(self, mark: int) -> None:
        """Take this mark for its latest sign of life."""
        self._first_mark = self._last_mark = mark
        self._since = time.monotonic()

    def _mark(self) -> int:
        return int.from_bytes(self._marks[:8], sys.byteorder, signed=True)

    def silent_seconds(self) -> float:
        """Return the seconds since it went on to another call of an environment, or was sent a message."""
        if (mark := self._mark()) != self._last_mark:
            self._last_mark, self._since = mark, time.monotonic()
        return time.monotonic() - self._since

    def current_episode(self) -> int | None:
        """Return the episode whose environment it called last; None if it called none since the last message."""
        mark = self._mark()
        return None if mark == self._first_mark or not self.episodes else self.episodes[(mark % (1 << MARK_BITS)) >> 1]

    def is_idle(self) -> bool:
        """Return True if it runs no episode, and has an environment or makes it."""
        return not self.episodes and self._mark() != UNBORN

    def has_ended(self) -> bool:
        """Return True if the process has ended and left no message."""
        return self.process.poll() is not None and not self.connection.poll()

    def traceback(self) -> str:
        """Return what Python wrote when the process crashed or was asked."""
        return os.pread(self._notes.fileno(), 1 << 20, NOTES_BYTES).decode(errors="replace").strip()

    def asked_traceback(self) -> str:
        """Ask the process for its traceback, and return it; nothing if it does not answer within 0.5 s."""
        self.process.send_signal(ASK)
        deadline = time.monotonic() + 0.5
        while not self.traceback() and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.02)  # for the rest of it
        return self.traceback()

    def exit_reason(self) -> tuple[str, bool]:
        """Wait for the end of a process that closed its connection. Return (how it ended, True if somebody killed it)."""
        code = self.end(patience=_EXIT_SECONDS)
        if code >= 0:
            return f"exit code {code}", False
        return (signal.Signals(-code).name if -code in _NAMED else f"signal {-code}"), -code in _KILLERS

    def end(self, patience: float = 0.0) -> int:
        """Wait `patience` seconds for the end of the process, then kill it. Return its exit code.

        Processes that the environment started in the session of a worker that was killed are killed, too.
        """
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        if code < 0:
            with contextlib.suppress(OSError):  # as a rule there are none
                os.killpg(self.process.pid, signal.SIGKILL)
        return code

    def release(self) -> None:
        """Close the connection and the files of a process that has ended."""
        self.connection.close()
        self._marks.close()
        self._notes.close()
        if self.process.stdin is not None:
            self.process.stdin.close()

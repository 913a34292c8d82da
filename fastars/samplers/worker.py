"""The program of a worker process: it runs episodes of an environment for the process that started it.

The two processes talk over a connection. The worker reads its order (the arguments of `Episodes`) from a file: it may be large, and
the process that wrote it must not wait. They also share a file of notes. In its first `NOTES_BYTES` the worker writes a mark before
each call of an environment, which takes no message. After them Python writes its traceback if the process crashes, or when the
signal `ASK` asks for one.
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import mmap
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any

from fastars.samplers.episodes import Episodes

ASK = signal.SIGUSR1  # asks for a traceback
NOTES_BYTES = mmap.PAGESIZE
UNBORN, BORN = 0, 1  # the first marks: before and after it begins to make an environment


def main(connection_fd: int, notes_fd: int, order_fd: int) -> None:
    """Serve the process that started this one, until it closes the connection or ends."""
    _end_with_parent()
    for inherited in (connection_fd, notes_fd, order_fd):
        os.set_inheritable(inherited, False)
    marks = memoryview(mmap.mmap(notes_fd, NOTES_BYTES)).cast("q")
    os.lseek(notes_fd, NOTES_BYTES, os.SEEK_SET)
    faulthandler.enable(notes_fd, all_threads=False)
    faulthandler.register(ASK, notes_fd, all_threads=False)
    connection = Connection(connection_fd)
    os.register_at_fork(after_in_child=connection.close)  # an environment may fork and go on twice: one process answers
    with contextlib.suppress(EOFError, OSError):  # the other end was closed
        if (episodes := _prepare(connection, order_fd, marks)) is not None:
            _serve(connection, episodes, marks)


def _prepare(connection: Connection, order_fd: int, marks: Any) -> Episodes | None:
    """Make the first environment. If that fails twice, send the traceback and return None."""
    with open(order_fd, "rb") as file:
        sys.argv, order = pickle.load(file)
    marks[0] = BORN
    try:
        episodes = Episodes(**pickle.loads(order), marks=marks)  # from the parent process
        with contextlib.suppress(BaseException):
            episodes.open()
            return episodes
        episodes.open()
    except BaseException:
        connection.send(("broken", traceback.format_exc()))
        return None
    return episodes


def _serve(connection: Connection, episodes: Episodes, marks: Any) -> None:
    """Run batches until the connection is closed; then close the environments."""
    try:
        connection.send(("ready", None))
        while True:
            _work(connection, episodes, marks)
    finally:
        episodes.close()


def _work(connection: Connection, episodes: Episodes, marks: Any) -> None:
    """Receive and run a batch, and send (results, seconds that they took, last mark)."""
    batch = connection.recv()

    def report(episode: int, attempt: int, text: str, error: BaseException | None = None) -> None:
        connection.send(("failed", (episode, attempt, text)))  # the exception itself may not be picklable

    start = time.perf_counter()
    out = episodes.run(batch, report)
    connection.send(("done", (out, time.perf_counter() - start, marks[0])))


def _end_with_parent() -> None:
    """End this process when its standard input is closed, also in the middle of a step: only its parent can write to it."""
    pipe = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def wait() -> None:
        os.read(pipe, 1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
    if hasattr(fcntl, "F_SETOWN"):  # also by a signal, if an environment never lets another thread run
        with contextlib.suppress(OSError):  # not every system sends signals for a pipe
            signal.signal(signal.SIGIO, signal.SIG_DFL)
            fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):  # a line at a time, at once; with PYTHONUNBUFFERED lines of workers would mix
        if stream is not None:
            stream.reconfigure(line_buffering=True, write_through=False)  # type: ignore[union-attr]

"""Locks that say which trials have a process: the operating system takes them away when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path


class TrialLocks:
    """Locks of trials in a file beside the storage: byte 0 is the gate, byte n + 1 belongs to trial n.

    They are POSIX locks: they work on a shared disk, and end with their process. So the file stays open as long as the process
    lives: closing it once would end all of them. Without such locks (Windows, some network disks) a trial that was stopped stays
    as it is, and another one is tried in its place.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(f"{path}.running", os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)

    @contextlib.contextmanager
    def gate(self) -> Iterator[None]:
        """Context in which no other process begins a trial."""
        has_gate = self._lock(0, wait=True)
        try:
            yield
        finally:
            if has_gate:
                self._unlock(0)

    def take(self, number: int) -> bool:
        """Lock a trial; return False if another process has it, or there are no locks."""
        return self._lock(number + 1, wait=False)

    def give_back(self, number: int) -> None:
        """Unlock a trial."""
        self._unlock(number + 1)

    def _lock(self, byte: int, wait: bool) -> bool:
        if sys.platform == "win32":
            return False
        import fcntl

        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, byte)
        except OSError:
            return False
        return True

    def _unlock(self, byte: int) -> None:
        if sys.platform == "win32":
            return
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, byte)

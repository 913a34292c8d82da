"""Text files that grow by whole lines, such as logs."""

import contextlib
import errno
import io
import os
from pathlib import Path


class LineWriter:
    """Appends whole lines to a file. A line that does not fit on the disk leaves nothing in the file.

    Parameters
    ----------
    path : Path
        The file. Its folder must exist.
    append : bool
        True keeps the whole lines of an existing file and removes a half line at its end, which a killed process leaves. False
        empties the file.

    Raises
    ------
    OSError
        If the file can't be made or read.
    """

    def __init__(self, path: Path, append: bool) -> None:
        self.path = path
        self._file: io.FileIO | None = None
        self._size = 0
        if not append or not path.exists():
            path.write_bytes(b"")
        elif not (content := path.read_bytes()).endswith(b"\n"):
            os.truncate(path, content.rfind(b"\n") + 1)

    def write(self, text: str) -> None:
        """Append one or more lines, each with its line end.

        Raises
        ------
        OSError
            If the disk is full or fails; the file then ends as it did before.
        """
        if self._file is None:
            self._file = io.FileIO(self.path, "ab")  # without a buffer: when `write` returns, the text is in the file
            self._size = os.fstat(self._file.fileno()).st_size
        data = text.encode("utf-8", "backslashreplace")
        try:
            if self._file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(self._size)
            raise
        self._size += len(data)

    def close(self) -> None:
        """Close the file; the next `write` opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __del__(self) -> None:
        self.close()

"""Text files that grow by whole lines, such as logs."""

import contextlib
import errno
import io
import os
from pathlib import Path

from fastars.files.atomic import write_atomically
from fastars.files.errors import naming
from fastars.files.opening import is_there, open_regular, open_to_append


class LineWriter:
    """Appends whole lines to a file. A line that does not fit on the disk leaves nothing in the file.

    Parameters
    ----------
    path : Path
        The file, whose name is ours. Its folder must exist.
    append : bool
        True keeps the whole lines of an existing file and removes a half line at its end, which a killed process leaves. False
        begins a new file, also in the place of a symbolic link.

    Raises
    ------
    OSError
        If the file can't be made or read.
    DamagedFileError
        If `append` is True, and there is a symbolic link, or no regular file.
    """

    def __init__(self, path: Path, append: bool) -> None:
        self.path = path
        self._file: io.FileIO | None = None
        self._size = 0
        if not append or not is_there(path):
            write_atomically(path, [], follow=False)
            return
        with open_regular(path) as file, naming(path):
            content = file.read()
            has_other_names = os.fstat(file.fileno()).st_nlink > 1
        whole = content.rfind(b"\n") + 1
        if has_other_names:  # one of them may be that of a file that is not ours
            write_atomically(path, [content[:whole]], follow=False)
        elif whole < len(content):
            os.truncate(path, whole)

    def write(self, text: str) -> None:
        """Append one or more lines, each with its line end.

        Raises
        ------
        OSError
            If the disk is full or fails; the file then ends as it did before.
        """
        if self._file is None:
            self._file = open_to_append(self.path)
            self._size = os.fstat(self._file.fileno()).st_size
        data = text.encode("utf-8", "backslashreplace")
        try:
            with naming(self.path):
                if self._file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
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

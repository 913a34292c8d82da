"""The log of a run: named values, collected during an iteration and written as one row to every output.

The methods are those of stable-baselines3's logger, and so is the protocol of an output: any object with
`write(key_values, key_excluded, step)` is one, for TensorBoard or whatever else.

A full disk loses rows, never the run: an output that raises OSError is warned of once and tried again at the next row.
"""

import contextlib
import csv
import errno
import io
import json
import math
import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fastars._imports import need
from fastars.files.atomic import write_atomically

DEBUG, INFO, WARN, ERROR = 10, 20, 30, 40
_N_BINS = 30  # of a histogram
_PLAIN = frozenset((float, int, str, bool, type(None)))
_PICTURES = "stable_baselines3."  # whose logger wraps pictures, videos and the like


class Output(Protocol):
    """Where rows go. `key_excluded` names, per key, the kinds of output ("stdout", "csv", ...) that leave it out."""

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Write one row."""


class Logger:
    """Collects values by key and writes them as rows.

    Parameters
    ----------
    folder : str or PathLike, optional
        Where `progress.csv` and `progress.json` go; made if it is missing.
    formats : iterable of str or Output, optional
        "stdout" (a table), "log" (the same table in `log.txt`), "csv", "json" (a JSON object per line), "tensorboard" (needs
        `fastars[tensorboard]`) or objects with `write(key_values, key_excluded, step)`. By default "stdout", and with a folder also
        "csv" and "json".
    append : bool
        Go on with the files of an earlier run instead of starting them anew.

    Attributes
    ----------
    name_to_value : dict
        The row being collected.

    Raises
    ------
    ValueError
        A format that does not exist, or a file without a folder.
    OSError
        The files can't be opened.
    """

    def __init__(
        self, folder: str | os.PathLike[str] | None = None, formats: Iterable[str | Output] | None = None, append: bool = False
    ) -> None:
        if formats is None:
            formats = ("stdout",) if folder is None else ("stdout", "csv", "json")
        self.folder = None if folder is None else Path(folder)
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
        self.outputs = [_output(item, self.folder, append) if isinstance(item, str) else item for item in formats]
        self.level = INFO
        self.name_to_value: dict[str, Any] = {}
        self.name_to_excluded: dict[str, tuple[str, ...]] = {}
        self._counts: dict[str, int] = {}
        self._failed: set[int] = set()

    def record(self, key: str, value: Any, exclude: str | tuple[str, ...] | None = None) -> None:
        """Put a value (float, int or str; NaN is one) into the row; `exclude` names kinds of output that leave it out."""
        self.name_to_value[key] = value.item() if isinstance(value, np.generic) else value
        self.name_to_excluded[key] = () if exclude is None else (exclude,) if isinstance(exclude, str) else tuple(exclude)

    def record_mean(self, key: str, value: float | None, exclude: str | tuple[str, ...] | None = None) -> None:
        """Put the mean of all values given for this key since the last row into the row; None is not counted."""
        if value is not None:
            count = self._counts.get(key, 0) + 1
            mean = self.name_to_value[key] if count > 1 else 0.0
            self._counts[key] = count
            self.record(key, mean + (float(value) - mean) / count, exclude)

    def dump(self, step: int = 0) -> None:
        """Write the row to every output and start a new one; `step` is its number of environment steps."""
        row = _Row(self.name_to_value)
        for index, output in enumerate(self.outputs):
            try:
                output.write(row, self.name_to_excluded, step)
            except OSError as error:
                if index not in self._failed:
                    self._failed.add(index)
                    warnings.warn(f"rows of the log are lost, training goes on: {error}", RuntimeWarning, stacklevel=2)
        self.name_to_value, self.name_to_excluded, self._counts = {}, {}, {}

    def flush(self) -> None:
        """Put into the files what outputs hold back: events for TensorBoard, for a second at most."""
        for output in self.outputs:
            with contextlib.suppress(OSError):
                getattr(output, "flush", lambda: None)()

    @property
    def dir(self) -> str | None:
        """The folder."""
        return None if self.folder is None else str(self.folder)

    def get_dir(self) -> str | None:
        """The folder."""
        return self.dir

    @property
    def output_formats(self) -> list[Any]:
        """The outputs, by the name that they have in stable-baselines3."""
        return self.outputs

    def set_level(self, level: int) -> None:
        """Leave out messages below DEBUG = 10, INFO = 20, WARN = 30 or ERROR = 40."""
        self.level = level

    def log(self, *args: Any, level: int = 20) -> None:
        """Write a message to the outputs that are text."""
        if level >= self.level:
            for output in self.outputs:
                getattr(output, "write_sequence", lambda _: None)([str(value) for value in args])

    def debug(self, *args: Any) -> None:
        """Write a message of level DEBUG."""
        self.log(*args, level=DEBUG)

    def info(self, *args: Any) -> None:
        """Write a message of level INFO."""
        self.log(*args, level=INFO)

    def warn(self, *args: Any) -> None:
        """Write a message of level WARN."""
        self.log(*args, level=WARN)

    def error(self, *args: Any) -> None:
        """Write a message of level ERROR."""
        self.log(*args, level=ERROR)

    def close(self) -> None:
        """Close the outputs that can be closed."""
        for output in self.outputs:
            with contextlib.suppress(OSError):
                getattr(output, "close", lambda: None)()


def configure(folder: str | os.PathLike[str] | None = None, format_strings: Iterable[str] | None = None) -> Logger:
    """A logger with files in `folder`, by default a new temporary one; formats as for `Logger`."""
    return Logger(tempfile.mkdtemp(prefix="fastars-") if folder is None else folder, format_strings)


def tb_log_folder(tensorboard_log: str | os.PathLike[str], tb_log_name: str, reset: bool = True) -> Path:
    """The folder of a run in TensorBoard's: the next number, or where the counters go on (`reset=False`) the last one.

    Returns
    -------
    Path
        `<tensorboard_log>/<tb_log_name>_<number>`.
    """
    folder = Path(tensorboard_log)
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    numbers = [int(match[1]) for name in names if (match := re.fullmatch(re.escape(tb_log_name) + r"_(\d+)", name))]
    return folder / f"{tb_log_name}_{max(max(numbers, default=0) + reset, 1)}"


def _output(name: str, folder: Path | None, append: bool) -> Output:
    if name == "stdout":
        return _Table()
    if name not in _FILES:
        allowed = ", ".join(map(repr, ("stdout", *_FILES)))
        raise ValueError(f"a log format {name!r}; allowed are {allowed} and objects with a method `write`")
    if folder is None:
        raise ValueError(f"the log format {name!r} needs a folder")
    return _FILES[name](folder, append)


class _Row(dict[str, Any]):
    """A row that makes text of its numbers once, for all files: half of what a row takes."""

    _texts: dict[str, str] | None = None

    @property
    def texts(self) -> dict[str, str]:
        """What stands for the numbers, in CSV as in JSON, where NaN and infinity are null."""
        if self._texts is None:
            self._texts = {key: repr(value) for key, value in self.items() if type(value) in (float, int)}
        return self._texts


def _texts(key_values: dict[str, Any]) -> dict[str, str]:
    return (key_values if isinstance(key_values, _Row) else _Row(key_values)).texts


def _included(key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], name: str) -> dict[str, Any]:
    """The values that an output of text takes: not those that are left out by name, and no pictures."""
    if any(key_excluded.values()):
        key_values = {key: value for key, value in key_values.items() if name not in key_excluded.get(key, ())}
    return {
        key: value for key, value in key_values.items() if type(value) in _PLAIN or not type(value).__module__.startswith(_PICTURES)
    }


class Lines:
    """Appends whole lines to a file: of a line that does not fit on the disk, nothing stays."""

    def __init__(self, path: Path, append: bool) -> None:
        self.path = path
        self._file: io.FileIO | None = None
        self._size = 0
        if not append or not path.exists():
            path.write_bytes(b"")
        elif not (content := path.read_bytes()).endswith(b"\n"):  # a process killed while it wrote leaves half a line
            os.truncate(path, content.rfind(b"\n") + 1)

    def write(self, line: str) -> None:
        """Append a line, or several, with their ends."""
        if self._file is None:
            self._file = io.FileIO(self.path, "ab")  # no buffer: a row is in the file, or an error is seen, when `write` returns
            self._size = os.fstat(self._file.fileno()).st_size
        data = line.encode("utf-8", "backslashreplace")
        try:
            if self._file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(self._size)
            raise
        self._size += len(data)

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __del__(self) -> None:
        self.close()


class _Json:
    """A JSON object per row. Strict JSON has no NaN and no infinity: they are null, which pandas reads as NaN."""

    def __init__(self, path: Path, append: bool) -> None:
        self._lines = Lines(path, append)
        self._encode = json.JSONEncoder(allow_nan=False, default=str).encode
        self._names: dict[str, str] = {}

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        texts, members = _texts(key_values), []
        for key, value in _included(key_values, key_excluded, "json").items():
            if key not in self._names:
                self._names[key] = self._encode(str(key))
            is_number = not isinstance(value, float) or math.isfinite(value)
            members.append(f"{self._names[key]}: {(texts.get(key) or self._encode(value)) if is_number else 'null'}")
        self._lines.write("{" + ", ".join(members) + "}\n")

    def close(self) -> None:
        self._lines.close()


class _Csv:
    """A table whose header grows: a new key rewrites the file, where the earlier rows get an empty cell."""

    def __init__(self, path: Path, append: bool) -> None:
        self._lines = Lines(path, append)
        rows = list(self._read())
        self._header = rows[0] if rows else []
        self._columns = set(self._header)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        row = _included(key_values, key_excluded, "csv")
        if not row.keys() <= self._columns:
            self._grow([*self._header, *sorted(row.keys() - self._columns)])
        texts = _texts(key_values)
        cells = [(texts.get(key) or _csv_cell(row[key])) if key in row else "" for key in self._header]
        self._lines.write((",".join(cells) or '""') + "\n")

    def _grow(self, header: list[str]) -> None:
        if self._header:
            lines = [header, *(row + [""] * (len(header) - len(row)) for row in list(self._read())[1:])]
            self._lines.close()
            write_atomically(self._lines.path, (_csv_line(line).encode() for line in lines))
        else:
            self._lines.write(_csv_line(header))
        self._header, self._columns = header, set(header)

    def _read(self) -> Iterable[list[str]]:
        with open(self._lines.path, newline="", encoding="utf-8") as file:
            yield from csv.reader(file)

    def close(self) -> None:
        self._lines.close()


def _csv_cell(value: Any) -> str:
    return "" if value is None else _csv_line([value, ""])[:-2]  # alone, an empty cell is quoted


def _csv_line(cells: Iterable[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


class _Table:
    """A boxed table on stdout, its keys grouped by what stands before their first slash."""

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        table = _table(_included(key_values, key_excluded, "stdout"))
        if table and sys.stdout is not None:
            print(table, end="", flush=True)

    def write_sequence(self, texts: list[str]) -> None:
        if sys.stdout is not None:
            print(*texts, flush=True)


class _Text:
    """The table in a file."""

    def __init__(self, folder: Path, append: bool) -> None:
        self._lines = Lines(folder / "log.txt", append)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        self._lines.write(_table(_included(key_values, key_excluded, "log")))

    def write_sequence(self, texts: list[str]) -> None:
        self._lines.write(" ".join(texts) + "\n")

    def close(self) -> None:
        self._lines.close()


def _table(values: dict[str, Any]) -> str:
    rows: list[tuple[str, str]] = []
    group = ""
    for key, value in sorted(values.items()):
        head, slash, _ = key.partition("/")
        if slash and head != group:
            group = head
            rows.append((f"{head}/", ""))
        text = f"{value:.3g}" if isinstance(value, float) else str(value)
        rows.append((f"   {key[len(head) + 1 :]}" if slash else key, text))
    if not rows:
        return ""
    left, right = (max(map(len, column)) for column in zip(*rows, strict=True))
    rule = "-" * (left + right + 7)
    return "\n".join([rule, *(f"| {key:<{left}} | {value:<{right}} |" for key, value in rows), rule, ""])


class _TensorBoard:
    """Events that TensorBoard shows, all numbers of a row in one.

    They are written by the thread that trains: tensorboardX's `SummaryWriter` hands them to another one, which a crash or a reader
    can be faster than; and number by number, by its `add_scalar`, a row takes several times as long.
    """

    _is_closed = True

    def __init__(self, folder: Path, append: bool) -> None:
        what = "a log for TensorBoard"
        self._summary = need("tensorboardX.summary", "tensorboard", what)
        self._protocol = need("tensorboardX.proto.event_pb2", "tensorboard", what)
        writer = need("tensorboardX.event_file_writer", "tensorboard", what).EventsWriter
        # The name itself has seconds, in which another call of `learn` would overwrite it.
        self._events = writer(str(folder / "events"), f".{time.time_ns()}")
        self._next_flush, self._is_closed = 0.0, False

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        summary = self._summary.Summary()
        values = summary.value
        for key, value in key_values.items():
            if value is None or "tensorboard" in key_excluded.get(key, ()):
                continue
            if isinstance(value, (float, int)):  # and bool; `Logger.record` has made numbers of NumPy's scalars
                values.add(tag=key, simple_value=value)
            elif (other := self._other(key, value)) is not None:
                values.extend(other.value)
        self._events.write_event(self._protocol.Event(wall_time=time.time(), step=step, summary=summary))
        if time.monotonic() >= self._next_flush:  # which waits for the disk, for some milliseconds
            self._events.flush()
            self._next_flush = time.monotonic() + 1.0

    def _other(self, key: str, value: Any) -> Any:
        """The summary of a value that is no number; None for one that TensorBoard has no form for."""
        if isinstance(value, str):
            return self._summary.text(key, value)
        if hasattr(value, "figure"):
            pixels = need("tensorboardX.utils", "tensorboard").figure_to_image(value.figure, value.close)
            return self._summary.image(key, pixels, dataformats="CHW")
        if hasattr(value, "image"):
            return self._summary.image(key, np.asarray(value.image), dataformats=value.dataformats)
        if type(value).__module__.startswith(_PICTURES):  # a video, or hyperparameters
            return None
        return self._summary.histogram(key, np.asarray(value), bins=_N_BINS)

    def flush(self) -> None:
        if not self._is_closed:
            self._events.flush()

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._events.close()

    def __del__(self) -> None:
        self.close()


_FILES: dict[str, Callable[[Path, bool], Output]] = {
    "log": _Text,
    "csv": lambda folder, append: _Csv(folder / "progress.csv", append),
    "json": lambda folder, append: _Json(folder / "progress.json", append),
    "tensorboard": _TensorBoard,
}

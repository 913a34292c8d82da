"""Collect named values and write them as rows."""

from __future__ import annotations

import contextlib
import copy
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fastars._runtime.signals import HeldSignals, OpenSignals
from fastars._validate import did_you_mean, user_facing
from fastars.logger.csv_output import CsvOutput
from fastars.logger.json_output import JsonOutput
from fastars.logger.outputs import ClosableOutput, FlushableOutput, Output, Row, TextOutput
from fastars.logger.table_output import TerminalOutput, TextFileOutput
from fastars.logger.tensorboard import TensorBoardOutput

DEBUG, INFO, WARN, ERROR = 10, 20, 30, 40

_FILES: dict[str, Callable[[Path, bool], Output]] = {
    "log": lambda folder, append: TextFileOutput(folder / "log.txt", append),
    "csv": lambda folder, append: CsvOutput(folder / "progress.csv", append),
    "json": lambda folder, append: JsonOutput(folder / "progress.json", append),
    "tensorboard": lambda folder, append: TensorBoardOutput(folder),
}

_FILE_OUTPUTS = TextFileOutput, CsvOutput, JsonOutput, TensorBoardOutput


class Logger:
    """Collects values by key and writes them as rows.

    Parameters
    ----------
    folder : str or PathLike, optional
        Folder of the files, such as `progress.csv` and `progress.json`. A missing folder is made.
    formats : iterable of str or Output, optional
        "stdout" (a table on the terminal), "log" (the same table in `log.txt`), "csv", "json" (one JSON object per line),
        "tensorboard" (needs `fastars[tensorboard]`), or objects with a method `write(key_values, key_excluded, step)`. By default
        "stdout", and with a folder also "csv" and "json".
    append : bool
        True continues the files of an earlier run, False empties them.

    Attributes
    ----------
    name_to_value : dict
        The values of the row that is being collected, by key.

    Raises
    ------
    ValueError
        If there is no such format, or a format needs a folder and there is none.
    OSError
        If the files can't be opened.
    """

    @user_facing
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

    def __copy__(self) -> Logger:
        """Return a log with a row of its own that writes to the same outputs."""
        copied = type(self).__new__(type(self))
        vars(copied).update(
            {name: copy.copy(value) if isinstance(value, (dict, set, list)) else value for name, value in vars(self).items()}
        )
        return copied

    def record(self, key: str, value: Any, exclude: str | tuple[str, ...] | None = None) -> None:
        """Put a value into the row.

        Parameters
        ----------
        key : str
            Name of the value; tables group names by the word before their first slash.
        value : float, int, str or other
            A number may be NaN. TensorBoard also takes arrays, as histograms, and the figures and images of stable-baselines3.
        exclude : str or tuple of str, optional
            Formats that leave the value out.
        """
        self.name_to_value[key] = value.item() if isinstance(value, np.generic) else value
        self.name_to_excluded[key] = () if exclude is None else (exclude,) if isinstance(exclude, str) else tuple(exclude)

    def record_mean(self, key: str, value: float | None, exclude: str | tuple[str, ...] | None = None) -> None:
        """Put the mean of all values that this key got since the last row into the row; None is not counted."""
        if value is not None:
            count = self._counts.get(key, 0) + 1
            mean = self.name_to_value[key] if count > 1 else 0.0
            self._counts[key] = count
            self.record(key, mean + (float(value) - mean) / count, exclude)

    def dump(self, step: int = 0) -> None:
        """Write the row to every output and begin a new one; `step` is the number of environment steps.

        Files come first: a signal stops the others, such as a terminal that waits, but leaves no file without the row.
        """
        row, excluded = Row(self.name_to_value), self.name_to_excluded
        self.name_to_value, self.name_to_excluded, self._counts = {}, {}, {}
        if self.is_silent:
            return
        with HeldSignals():
            for index in sorted(range(len(self.outputs)), key=lambda index: not isinstance(self.outputs[index], _FILE_OUTPUTS)):
                output = self.outputs[index]
                try:
                    with contextlib.nullcontext() if isinstance(output, _FILE_OUTPUTS) else OpenSignals():
                        output.write(row, excluded, step)
                except OSError as error:
                    if index not in self._failed:
                        self._failed.add(index)
                        warnings.warn(f"rows of the log are lost, training goes on: {error}", RuntimeWarning, stacklevel=2)

    @property
    def is_silent(self) -> bool:
        """True if nothing reads the rows."""
        return not self.outputs

    def flush(self) -> None:
        """Write the rows that outputs hold back: TensorBoard's output does, for up to a second."""
        for output in self.outputs:
            if isinstance(output, FlushableOutput):
                with contextlib.suppress(OSError):
                    output.flush()

    @property
    def dir(self) -> str | None:
        """The folder of the files, or None."""
        return None if self.folder is None else str(self.folder)

    def get_dir(self) -> str | None:
        """Return the folder of the files, or None."""
        return self.dir

    @property
    def output_formats(self) -> list[Any]:
        """The outputs, by their name in stable-baselines3."""
        return self.outputs

    def set_level(self, level: int) -> None:
        """Leave out messages below DEBUG = 10, INFO = 20, WARN = 30 or ERROR = 40."""
        self.level = level

    def log(self, *args: Any, level: int = INFO) -> None:
        """Write a message to the outputs of text."""
        if level >= self.level:
            for output in self.outputs:
                if isinstance(output, TextOutput):
                    output.write_sequence([str(value) for value in args])

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
            if isinstance(output, ClosableOutput):
                with contextlib.suppress(OSError):
                    output.close()


@user_facing
def configure(folder: str | os.PathLike[str] | None = None, format_strings: Iterable[str | Output] | None = None) -> Logger:
    """Return a logger that writes files.

    Parameters
    ----------
    folder : str or PathLike, optional
        Folder of the files. Default: a new temporary folder.
    format_strings : iterable of str or Output, optional
        The `formats` of `Logger`.

    Raises
    ------
    ValueError, OSError
        As `Logger` raises them.
    """
    return Logger(tempfile.mkdtemp(prefix="fastars-") if folder is None else folder, format_strings)


def tb_log_folder(tensorboard_log: str | os.PathLike[str], tb_log_name: str, reset: bool = True) -> Path:
    """Return the folder for the events of a run: `<tensorboard_log>/<tb_log_name>_<number>`.

    Parameters
    ----------
    tensorboard_log : str or PathLike
        Folder of all runs; it may be missing.
    tb_log_name : str
        Name of the run.
    reset : bool
        True takes the next free number. False takes the last number that is in use, for a run whose counters continue; also then a
        new one if its name is that of a symbolic link.
    """
    folder = Path(tensorboard_log)
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    numbers = [int(match[1]) for name in names if (match := re.fullmatch(re.escape(tb_log_name) + r"_(\d+)", name))]
    last = max(numbers, default=0)
    goes_on = not reset and not os.path.islink(folder / f"{tb_log_name}_{last}")
    return folder / f"{tb_log_name}_{max(last if goes_on else last + 1, 1)}"


def _output(name: str, folder: Path | None, append: bool) -> Output:
    if name == "stdout":
        return TerminalOutput()
    if name not in _FILES:
        choices = ("stdout", *_FILES)
        allowed = f"{', '.join(map(repr, choices))} or an object with a method write"
        raise ValueError(f"a format of the log must be one of {allowed}, got {name!r}{did_you_mean(name, choices)}")
    if folder is None:
        raise ValueError(f"folder must be given for the format {name!r}, got None")
    return _FILES[name](folder, append)

"""A fresh Python interpreter that imports what this one imports."""

import os
import re
import sys
from pathlib import Path

_NAME = re.compile(r"pythonw?[\d.]*[a-z]{0,2}(_d)?(-\w+)?(\.exe)?", re.IGNORECASE)  # python3.13t, pythonw.exe, python3-dbg


def has_interpreter() -> bool:
    """Return True if `sys.executable` is a Python interpreter.

    In a program that Python is built into, or that PyInstaller made, it is that program, which would open once more.
    """
    return not getattr(sys, "frozen", False) and _NAME.fullmatch(Path(sys.executable or "").name) is not None


def python_command(code: str) -> list[str]:
    """Return the command of an interpreter that runs this code. It imports from the same folders, and `sys` is imported.

    Nothing is imported before the folders are set: `-c` would look in the present folder first, where `json.py` may be a file of
    the user's. The switches that keep this interpreter from such code, and from writing files, are handed on.

    Raises
    ------
    OSError
        If the present folder, from which imports are to be made, is gone.
    """
    flags = sys.flags
    switches = {
        "-I": flags.isolated,
        "-E": flags.ignore_environment,
        "-s": flags.no_user_site,
        "-S": flags.no_site,
        "-B": sys.dont_write_bytecode,
    }
    folders = [str(entry) or os.getcwd() for entry in sys.path]
    given = [switch for switch, is_set in switches.items() if is_set]
    return [sys.executable, *given, "-c", f"import sys; sys.path[:] = {folders!r}; {code}"]

"""The command `fastars`: its exit codes and its errors. The sub-commands are in `commands`.

Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted, 143 terminated. `--help` imports neither Numba nor Gymnasium.
"""

import contextlib
import errno
import os
import re
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any, TextIO

from fastars._imports import MissingPackageError, pip_install
from fastars._validate import without_addresses
from fastars._version import __version__
from fastars.cli.errors import WrongUseError
from fastars.cli.interrupts import Interrupted
from fastars.cli.terminal import STDOUT, any_text, complain, complain_traceback, flush, give_up_stdout, others_print, say

__all__ = ["WrongUseError", "main"]

_NO_ROOM = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_WRONG_USE = (WrongUseError, MissingPackageError)  # to ask for something that needs a package is wrong use where it is missing
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # Gymnasium colours its warnings, in files and pipes too
# Advice of the package to programs, which has a counterpart among the options.
_TO_USERS = {
    r"ARS\.load\(path, env=\.\.\.\) takes one that can(, and so does model\.set_env)?": "--env takes one: MODULE:ENV",
    r"give env=\.\.\., such as env='(.*?)'(, or call model\.set_env\([^)]*\))?": r"give --env, such as --env \1",
    r"fastars\.compiled_env_ids\(\) lists": "`fastars envs` lists",
}


def main(args: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Parameters
    ----------
    args : sequence of str, optional
        Default: the arguments of the process.
    """
    arguments = list(sys.argv[1:] if args is None else args)
    with_traceback = "--traceback" in arguments or os.environ.get("FASTARS_TRACEBACK", "0") not in ("", "0")
    arguments = [argument for argument in arguments if argument != "--traceback"]
    try:
        if arguments == ["--version"]:
            say(f"fastars {__version__}")
            return 0
        with warnings.catch_warnings(), any_text():
            warnings.showwarning = _print_warning
            return _run(arguments)
    except BrokenPipeError:  # the reader of the output has gone, as in `fastars envs | head -1`
        give_up_stdout()
        return 1
    except KeyboardInterrupt as interrupt:
        _print_error("interrupted" if not interrupt.args else str(interrupt.args[0]))
        return interrupt.exit_code if isinstance(interrupt, Interrupted) else 130
    except Exception as error:
        if with_traceback:
            complain_traceback()
        _print_error(f"error: {_in_one_line(error)}")
        return 2 if isinstance(error, _WRONG_USE) else 1


def _run(arguments: list[str]) -> int:
    for name in ("tyro", "rich"):
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            raise WrongUseError(f"the command needs {error.name}: {pip_install('cli')}") from error
    from fastars.cli.commands import parse

    try:
        with contextlib.nullcontext() if all(map(str.isprintable, arguments)) else others_print():
            command = parse(arguments)
    except SystemExit:  # of tyro, which has printed the help
        flush()
        raise
    except OSError as error:  # of tyro, while it prints the help
        raise OSError(error.errno, error.strerror, STDOUT) from error
    code = int(command.run())
    flush()
    return code


def _in_one_line(error: Exception) -> str:
    """Return the message of an error in one line. An error that fastars did not expect also says how to get a traceback."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return _without_room(error)
    text = without_addresses(" ".join("; ".join([str(error), *getattr(error, "__notes__", ())]).split()))
    for to_programs, to_users in _TO_USERS.items():
        text = re.sub(to_programs, to_users, text)
    if text and isinstance(error, (*_WRONG_USE, ValueError, OSError)):
        return text
    return f"{type(error).__name__}{': ' if text else ''}{text} (--traceback shows where)"


def _without_room(error: OSError) -> str:
    """Return the message of a full disk: the file, what is left of it, and what to do."""
    if error.filename == STDOUT:
        return f"the standard output can't be written: {error.strerror}; files that the command wrote are whole"
    what = f"{error.filename} can't be written" if error.filename else "a file can't be written"
    return f"{what}: {error.strerror}; a file that was there before is whole. Make room, then run the command again"


def _print_error(text: str) -> None:
    complain(f"fastars: {text}")


def _print_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, line: Any = None
) -> None:
    text = without_addresses(" ".join(_COLOURS.sub("", str(message)).removeprefix("WARN: ").split()))
    _print_error(f"warning: {text}")

"""The mujoco package, its version checked, and its shared library."""

import ctypes
import importlib.metadata
import re
from pathlib import Path
from typing import Any

from fastars.envs.errors import UnsupportedEnvError

OLDEST, NEWEST = (3, 2), (4, 0)  # versions whose results were compared with Gymnasium's (CONTRIBUTING.md describes how)


def import_mujoco() -> Any:
    """Return the mujoco package.

    Raises
    ------
    UnsupportedEnvError
        If it is missing, or of a version that fastars was not compared with.
    """
    try:
        import mujoco
    except ImportError as error:
        text = f'MuJoCo environments need the mujoco package: pip install "fastars[mujoco]" ({error})'
        raise UnsupportedEnvError(text) from error
    version = importlib.metadata.version("mujoco")
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if not OLDEST <= numbers <= (NEWEST[0], 99):
        raise UnsupportedEnvError(
            f"mujoco {version} is not supported: install one from {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.x, "
            f'such as by pip install "fastars[mujoco]"'
        )
    return mujoco


mujoco = import_mujoco()

(library_path,) = (str(path) for path in Path(mujoco.__file__).parent.iterdir() if re.match(r"(lib)?mujoco\.", path.name))
library = ctypes.CDLL(library_path)

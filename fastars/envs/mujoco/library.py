"""The mujoco package, its version checked, and the shared library that it has loaded."""

import ctypes
import re
import sys
from typing import Any

from fastars.envs.errors import UnsupportedEnvError

OLDEST, NEWEST = (3, 2), (4, 0)  # versions whose results were compared with Gymnasium's (CONTRIBUTING.md describes how)


def import_mujoco() -> Any:
    """Return the mujoco package, of the distribution `mujoco` or `mujoco-core`.

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
    version = mujoco.mj_versionString()  # of the library itself: files of another version may be left over beside it
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if not OLDEST <= numbers <= (NEWEST[0], 99):
        raise UnsupportedEnvError(
            f"mujoco {version} is not supported: install one from {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.x, "
            f'such as by pip install "fastars[mujoco]"'
        )
    return mujoco


mujoco = import_mujoco()


class _Symbol(ctypes.Structure):
    """What `dladdr` says of an address: `Dl_info` of C."""

    _fields_ = (("file", ctypes.c_char_p), ("base", ctypes.c_void_p), ("name", ctypes.c_char_p), ("address", ctypes.c_void_p))


def _loaded_library() -> str:
    """Return the path of the library that MuJoCo's Python bindings call.

    Its folder may hold others: pip leaves the file of `mujoco-core` there when it puts an older mujoco in place.
    """
    bindings, found = str(sys.modules[mujoco.mj_step.__module__].__file__), _Symbol()
    address = ctypes.cast(ctypes.CDLL(bindings).mj_step, ctypes.c_void_p)
    if not ctypes.CDLL(None).dladdr(address, ctypes.byref(found)):
        raise UnsupportedEnvError(f"the library of mujoco {mujoco.__version__} is not found from {bindings}")
    return str(found.file.decode())


library_path = _loaded_library()
library = ctypes.CDLL(library_path)


def address_of(name: str) -> int:
    """Return the address of one of MuJoCo's C functions."""
    return int(ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0)

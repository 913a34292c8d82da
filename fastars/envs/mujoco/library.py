"""The mujoco package, its version checked, and the shared library that it has loaded."""

import ctypes
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

from fastars._imports import pip_install
from fastars._validate import warn_user
from fastars.envs.errors import OtherSystemError, UnsupportedEnvError
from fastars.envs.mujoco.opengl import broken_choice

if sys.platform == "win32":  # the guard takes the keys of POSIX threads, and a `_setjmp` of one argument
    raise OtherSystemError("MuJoCo's environments are compiled on Linux and macOS; on Windows, Gymnasium's run in Python")

OLDEST, NEWEST = (3, 2), (4, 0)  # versions whose results were compared with Gymnasium's (CONTRIBUTING.md describes how)
_WRONG_FACTOR = "4.0.0"  # mended in 4.0.1, whose changelog describes it


def import_mujoco() -> Any:
    """Return the mujoco package, of the distribution `mujoco` or `mujoco-core`.

    Raises
    ------
    UnsupportedEnvError
        If it is missing, broken, or of a version that fastars was not compared with.
    """
    try:
        import mujoco
    except (ImportError, OSError) as error:  # it, or a shared library of it, is not there or can't be loaded
        if not (places := _places()):
            text = f"MuJoCo environments need the mujoco package: {pip_install('mujoco')} ({error})"
            raise UnsupportedEnvError(text) from error
        found = ", ".join(sorted(str(path) for place in places for path in place.glob("libmujoco.*"))) or "no library"
        raise UnsupportedEnvError(
            f"the mujoco package can't be imported ({error}; it has {found}): pip uninstall mujoco mujoco-core, then install it"
        ) from error
    except Exception as error:  # of PyOpenGL, which mujoco imports if MUJOCO_GL asks for it: an AttributeError, for example
        if not (text := broken_choice(error)):
            raise
        raise UnsupportedEnvError(text) from error
    version = mujoco.mj_versionString()  # of the library itself: files of another version may be left over beside it
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if not OLDEST <= numbers <= (NEWEST[0], 99):
        raise UnsupportedEnvError(
            f"mujoco {version} is not supported: install one from {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.x, "
            f"such as by {pip_install('mujoco')}"
        )
    return mujoco


def _places() -> list[Path]:
    """Return the folders of the mujoco package, which is not imported for that."""
    spec = importlib.util.find_spec("mujoco")
    return [Path(place) for place in spec.submodule_search_locations or ()] if spec else []


mujoco = import_mujoco()


class _Symbol(ctypes.Structure):
    """The answer of `dladdr` about an address: `Dl_info` of C."""

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


def other_libraries() -> list[str]:
    """Return a sentence for each MuJoCo library that lies beside the loaded one."""
    loaded = Path(library_path)
    others = sorted(path for path in loaded.parent.iterdir() if re.match(r"libmujoco\.", path.name) and path.name != loaded.name)
    return [
        f"{path} is left over from another version of MuJoCo; {loaded.name} is in use, of version {mujoco.mj_versionString()}. "
        "To remove it: pip uninstall mujoco mujoco-core, then install mujoco again"
        for path in others
    ]


def faults() -> list[str]:
    """Return a sentence for each known fault of this version of MuJoCo that can change results."""
    if mujoco.mj_versionString() != _WRONG_FACTOR:
        return []
    return [
        "mujoco 4.0.0 computes a wrong Newton factor for some models with a sparse Jacobian (60 or more degrees of freedom, or "
        'jacobian="sparse"): they move wrongly, in Gymnasium too. Gymnasium\'s own models are dense. 4.0.1 has it right'
    ]


def warn_of_faults(name: str, model: Any) -> None:
    """Warn the user if a fault of this version concerns an MjModel: Newton's method with a sparse Jacobian of the constraints.

    `name` says which model it is.
    """
    is_newton = int(model.opt.solver) == int(mujoco.mjtSolver.mjSOL_NEWTON)
    if faults() and is_newton and mujoco.mj_isSparse(model):
        warn_user(
            f"{name}: mujoco {_WRONG_FACTOR} computes a wrong Newton factor for some models with a sparse Jacobian, as this one; "
            'set jacobian="dense" in its <option>, or install 4.0.1'
        )

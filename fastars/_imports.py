"""Import optional packages, and act when the program imports another package."""

import contextlib
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# The packages of each optional part, as pip takes them. A hint names packages, not extras of fastars: that works for a checkout, a
# wheel and a folder on PYTHONPATH alike, from any folder, and it installs nothing but what is missing.
_PACKAGES = {
    "cli": "tyro rich",
    "mujoco": '"gymnasium[mujoco]" "mujoco<5"',
    "tensorboard": "tensorboardX crc32c",
    "plot": "matplotlib",
    "video": "moviepy",
    "onnx": "onnx",
    "ray": '"ray[tune]"',
    "tune": "optuna cmaes",
    "sb3": "sb3-contrib",
}


class MissingPackageError(ImportError):
    """An optional package is missing; the message says how to install it."""


def pip_install(part: str) -> str:
    """Return the command that installs the packages of an optional part of fastars, such as "plot"."""
    return f"pip install {_PACKAGES[part]}"


def need(name: str, part: str, what: str = "this") -> Any:
    """Import and return a module of an optional package.

    Parameters
    ----------
    name : str
        The module.
    part : str
        The part of fastars that needs it, as `pip_install` takes it.
    what : str
        The purpose, as the subject of the error message.

    Raises
    ------
    MissingPackageError
        If the package is missing; the message has the command that installs it.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise
        raise MissingPackageError(f"{what} needs {name.partition('.')[0]}: {pip_install(part)}", name=error.name) from error


def version_of(package: str) -> str | None:
    """Return the installed version of a package; None if it is missing. MuJoCo comes as `mujoco`, or as its part `mujoco-core`."""
    from importlib.metadata import PackageNotFoundError, version  # it takes 10 ms, which `fastars --help` can save

    for name in ("mujoco", "mujoco-core") if package == "mujoco" else (package,):
        with contextlib.suppress(PackageNotFoundError):
            return version(name)
    return None


def when_imported(name: str, action: Callable[[], None]) -> None:
    """Call `action` now if the module `name` is imported already, else right after its import. This function does not import it."""
    if name in sys.modules:
        action()
    else:
        sys.meta_path.insert(0, _Watch(name, action))


class _Watch:
    """A finder that finds nothing itself: it lets the other finders find one module, and acts after its import."""

    def __init__(self, name: str, action: Callable[[], None]) -> None:
        self._name, self._action = name, action

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (spec for finder in others if (spec := finder.find_spec(name, path, target)) is not None)
        spec = next(found, None)
        if spec is not None and spec.loader is not None:
            self._act_after(spec.loader)
        return spec

    def _act_after(self, loader: Any) -> None:
        execute = loader.exec_module

        def execute_and_act(module: ModuleType) -> None:
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
                self._action()

        loader.exec_module = execute_and_act

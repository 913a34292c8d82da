"""Import optional packages, and act when the program imports another package."""

import contextlib
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def need(name: str, extra: str, what: str = "this") -> Any:
    """Import and return a module of an optional package.

    Parameters
    ----------
    name : str
        The module.
    extra : str
        The extra of fastars that installs the package.
    what : str
        The purpose, as the subject of the error message.

    Raises
    ------
    ImportError
        If the package is missing; the message names the extra.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise
        raise ImportError(f'{what} needs {name.partition(".")[0]}: pip install "fastars[{extra}]"', name=error.name) from error


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

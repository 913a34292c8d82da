"""Environments: the compiled ones (`classic`, `mujoco`, `multi`, the user's own), and any that is stepped in Python.

Names are imported when they are used: `import fastars.envs` imports neither Numba nor Gymnasium.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "AS_COMPILED": "resolve",
    "CompiledEnv": "compiled",
    "SimulationError": "errors",
    "USER_ENVS": "registry",
    "UnsupportedEnvError": "errors",
    "WorkerError": "errors",
    "compiled_env": "compiling",
    "compiled_env_ids": "registry",
    "compiled_id": "registry",
    "environment": "resolve",
    "make": "making",
    "quiet": "making",
}

__all__ = sorted(_HOME)

if TYPE_CHECKING:  # for editors and type checkers
    from fastars.envs.compiled import CompiledEnv
    from fastars.envs.compiling import compiled_env
    from fastars.envs.errors import SimulationError, UnsupportedEnvError, WorkerError
    from fastars.envs.making import make, quiet
    from fastars.envs.registry import USER_ENVS, compiled_env_ids, compiled_id
    from fastars.envs.resolve import AS_COMPILED, environment


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

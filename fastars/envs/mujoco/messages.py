"""MuJoCo's warnings and fatal errors, as Python gets them outside of kernels."""

import contextlib
import ctypes
import re
from collections.abc import Iterator

from fastars._runtime.signals import HeldSignals, OpenSignals, signals_are_held
from fastars.envs.errors import SimulationError
from fastars.envs.mujoco.guard import engine
from fastars.envs.mujoco.library import library, mujoco

_begin = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(engine.get_function_address("fastars_begin"))
_end = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(engine.get_function_address("fastars_end"))
_free = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(engine.get_function_address("fastars_free"))
_END_OF_LIST = engine.get_global_value_address("fastars_end_of_list")
_POINTER_BYTES = 8


@contextlib.contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Collect MuJoCo's warnings on this thread. The list has them when the context is left.

    Otherwise they go to the terminal and to MUJOCO_LOG.TXT in the user's folder, or to a handler of the user's. Other threads, and
    the user's handler, notice nothing. Contexts may be nested.
    """
    texts: list[str] = []
    saved = (ctypes.c_void_p * 2)()
    body = contextlib.nullcontext() if signals_are_held() else OpenSignals()
    with HeldSignals():  # what a handler raises would else leave ours on this thread
        _begin(saved)
        try:
            with body:
                yield texts
        finally:
            texts.extend(_texts(_end(saved)))


def _texts(node: int | None) -> list[str]:
    """Return the texts of a list of warnings, oldest first, and free it."""
    texts = []
    while node is not None and node != _END_OF_LIST:
        texts.append(ctypes.string_at(node + _POINTER_BYTES).decode(errors="replace"))
        following = ctypes.c_void_p.from_address(node).value
        _free(node)
        node = following
    return texts[::-1]


def kinds_of(texts: list[str]) -> dict[str, list[str]]:
    """Return warnings by their kind: texts that differ in numbers alone are of one kind."""
    kinds: dict[str, list[str]] = {}
    for text in texts:
        kinds.setdefault(re.sub(r"[\d.]+", "", text), []).append(text)
    return kinds


def has_user_handler() -> bool:
    """True if the user has set a handler of warnings, by `mujoco.set_mju_user_warning`."""
    return ctypes.c_void_p.in_dll(library, "mju_user_warning").value is not None


@contextlib.contextmanager
def fatal_errors(name: str) -> Iterator[None]:
    """Turn fatal errors of MuJoCo into the `SimulationError` that samplers raise, with the name of the environment."""
    try:
        yield
    except mujoco.FatalError as error:
        raise SimulationError(f"MuJoCo failed in {name}: {error}") from error

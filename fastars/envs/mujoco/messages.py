"""MuJoCo's warnings and fatal errors, as Python gets them outside of kernels."""

import contextlib
from collections.abc import Iterator

from fastars.envs.errors import SimulationError
from fastars.envs.mujoco.library import mujoco


@contextlib.contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Collect MuJoCo's warnings in a list; otherwise they go to the terminal and to MUJOCO_LOG.TXT in the user's folder."""
    texts: list[str] = []
    previous = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(texts.append)
    try:
        yield texts
    finally:
        mujoco.set_mju_user_warning(previous)


@contextlib.contextmanager
def fatal_errors(name: str) -> Iterator[None]:
    """Turn fatal errors of MuJoCo into the `SimulationError` that samplers raise, with the name of the environment."""
    try:
        yield
    except mujoco.FatalError as error:
        raise SimulationError(f"MuJoCo failed in {name}: {error}") from error

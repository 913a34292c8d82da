"""Before a film or a window: a display, the way in which MuJoCo draws, its camera; and the errors of drawing in plain words."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastars.cli.errors import WrongUseError

if TYPE_CHECKING:
    import gymnasium

_DRAWING = ("glfw", "mujoco", "OpenGL", "pygame")


def can_open_windows() -> bool:
    """Return True if a window can be opened: on Linux, X, Wayland or a driver chosen for SDL (even one that draws nothing)."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in names)


def make_drawn(env_id: str, kwargs: Mapping[str, Any], mode: str) -> gymnasium.Env:
    """Make an environment with a render mode; WrongUseError if it says that it has no such mode.

    An environment that names no mode at all may have it nevertheless. Gymnasium makes windows of "rgb_array".
    """
    from fastars.envs import make

    try:
        env = make(env_id, **kwargs, render_mode=mode)
    except TypeError as error:  # Gymnasium's words after those of the constructor
        if not re.match(r".*(unexpected keyword argument 'render_mode'|takes no arguments)", str(error)):
            raise
        raise WrongUseError(f"{env_id} can't be drawn: it takes no render_mode") from error
    modes = list(env.metadata.get("render_modes") or ())
    if modes and {mode, *(("rgb_array", "rgb_array_list") if mode == "human" else ())}.isdisjoint(modes):
        env.close()
        raise WrongUseError(f"{env_id} has no render mode {mode}; it has {', '.join(map(str, modes))}")
    return env


def prepare_frames() -> None:
    """Let frames be drawn here, with a display or without one.

    MuJoCo gets a way to draw that works, if it is in use, and the user has not chosen one by MUJOCO_GL: without a choice, Gymnasium
    takes GLFW, which fails where no display is. SDL, on which pygame draws, looks for no display.
    """
    if not can_open_windows():
        os.environ["SDL_VIDEODRIVER"] = "dummy"
    if "mujoco" not in sys.modules or os.environ.get("MUJOCO_GL") or not sys.platform.startswith("linux"):
        return
    from fastars.envs.mujoco.opengl import advice, working_backend

    backend = working_backend()
    if backend is None:
        raise WrongUseError(f"MuJoCo can't draw here: {advice()}")
    os.environ["MUJOCO_GL"] = backend


def follow_body(env: gymnasium.Env) -> None:
    """Let the camera of one of Gymnasium's MuJoCo environments follow its body, unless the environment was given another camera.

    A `MujocoTask` does so itself.
    """
    given = {} if env.spec is None else env.spec.kwargs
    renderer = getattr(env.unwrapped, "mujoco_renderer", None)
    if renderer is None or not {"camera_id", "camera_name", "default_camera_config"}.isdisjoint(given):
        return
    from fastars.envs.mujoco.camera import follow

    follow(renderer)


@contextlib.contextmanager
def drawn(mode: str, run: Path) -> Iterator[None]:
    """Context that turns errors of drawing (OpenGL, SDL, an environment that can't draw) into a `WrongUseError`."""
    import gymnasium

    try:
        yield
    except (gymnasium.error.Error, AttributeError, NotImplementedError, ImportError) as error:
        raise WrongUseError(f"{run} can't be rendered ({mode}): {_message(error)}{_advice(error)}") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _DRAWING:
            raise
        raise WrongUseError(f"{run} can't be rendered ({mode}): {_message(error)}{_advice(error)}") from error


def _advice(error: BaseException) -> str:
    """Return how MuJoCo draws without a display, if the error came from it."""
    if not any(name in module for module in _modules(error) for name in ("mujoco", "glfw", "OpenGL")):
        return ""
    from fastars.envs.mujoco.opengl import advice

    return f"; MUJOCO_GL is {os.environ.get('MUJOCO_GL') or 'not set'}; {advice()}"


def _modules(error: BaseException) -> set[str]:
    """Return the modules of the class and the traceback of an error."""
    found, trace = {type(error).__module__}, error.__traceback__
    while trace is not None:
        found.add(str(trace.tb_frame.f_globals.get("__name__", "")))
        trace = trace.tb_next
    return found


def _message(error: Any) -> str:
    return " ".join(str(error).split()) or type(error).__name__

"""Ways in which MuJoCo draws: GLFW needs a display, EGL and OSMesa need none. Nothing here imports mujoco, which may not work."""

from __future__ import annotations

import os
import subprocess
import sys

from fastars._runtime.interpreter import has_interpreter, python_command

WITHOUT_DISPLAY = ("egl", "osmesa")
PACKAGES = {"egl": "libegl1 libgl1", "osmesa": "libosmesa6"}  # of Debian and Ubuntu
_SECONDS = 60.0
_TRIAL = """
import mujoco
from mujoco.{backend} import GLContext
context = GLContext(8, 8)
context.make_current()
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), mujoco.mjtFontScale.mjFONTSCALE_100)
"""


def fault_of(backend: str) -> str:
    """Return the reason why MuJoCo can't draw by "glfw", "egl" or "osmesa" here; "" if it can.

    It is tried in another process: after a failure, a process can't try another way.
    """
    if not has_interpreter():
        return "there is no Python interpreter to try it"
    environment = {name: value for name, value in os.environ.items() if name not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    try:
        command = python_command(_TRIAL.format(backend=backend))
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return " ".join(str(error).split())
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit code {done.returncode}"


def has_display() -> bool:
    """Return True if there may be a display: on Linux, one of X or Wayland is named."""
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def working_backend() -> str | None:
    """Return the first way to draw that works here; None if none does."""
    candidates = (*(("glfw",) if has_display() else ()), *WITHOUT_DISPLAY)
    return next((backend for backend in candidates if not fault_of(backend)), None)


def advice() -> str:
    """Return a sentence on how to draw without a display."""
    ways = " or ".join(
        f"MUJOCO_GL={backend} (Debian and Ubuntu: apt-get install {PACKAGES[backend]})" for backend in WITHOUT_DISPLAY
    )
    return f"without a display, MuJoCo draws with {ways}"


def broken_choice(error: BaseException) -> str:
    """Return the words for an error of `import mujoco` that comes from the user's MUJOCO_GL; "" if there is no MUJOCO_GL."""
    chosen = os.environ.get("MUJOCO_GL", "")
    if not chosen:
        return ""
    text = f"mujoco can't be imported with MUJOCO_GL={chosen}"
    if chosen.lower() not in WITHOUT_DISPLAY:
        return f"{text}: {error}"
    package = PACKAGES[chosen.lower()]
    return f"{text}: its library is not found (Debian and Ubuntu: apt-get install {package}). Without MUJOCO_GL, mujoco is imported"

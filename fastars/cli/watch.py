"""`fastars enjoy` and `fastars video`: show a trained policy in a window, or record it."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from fastars._imports import need
from fastars.cli.errors import WrongUseError
from fastars.cli.loading import ReplayOptions, replay
from fastars.cli.run_folder import refuse_existing
from fastars.cli.settings import option
from fastars.cli.terminal import say
from fastars.files.opening import folder_in


@dataclass(frozen=True, kw_only=True)
class Enjoy(ReplayOptions):
    """Watch a trained policy in a window."""

    def run(self) -> int:
        """Show the episodes and return the exit code."""
        if not _has_display():
            raise WrongUseError(f"there is no display here: fastars video {self.run_path} writes a file instead")
        with _rendering("human", self.run_path):
            trained = self.load("human")
            replay(trained, self.n_eval_episodes, self.seed, "in a window")
        return 0


@dataclass(frozen=True, kw_only=True)
class Video(ReplayOptions):
    """Record a trained policy as a video, one file per episode."""

    out: Annotated[Path | None, option("PATH", "videos in the run folder")] = None
    """Folder of the files."""
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Replace existing films of the same environment and episodes."""

    def run(self) -> int:
        """Record the episodes and return the exit code."""
        try:
            need("moviepy", "video", "a video")
        except ImportError as error:
            raise WrongUseError(str(error)) from error
        import gymnasium

        with _rendering("rgb_array", self.run_path):
            trained = self.load("rgb_array")
            folder = self._folder()
            with tempfile.TemporaryDirectory(prefix=".fastars-", dir=folder) as unfinished, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Gymnasium warns of a folder that is there, moviepy of its own modules
                name = trained.model.env_id.rpartition("/")[2]
                for episode in range(self.n_eval_episodes):  # before an hour of rendering
                    refuse_existing(folder / f"{name}-episode-{episode}.mp4", self.overwrite)
                env = gymnasium.wrappers.RecordVideo(
                    trained.env, unfinished, episode_trigger=lambda _: True, name_prefix=name, disable_logger=True
                )
                replay(trained._replace(env=env), self.n_eval_episodes, self.seed, f"recorded in {folder}")
                films = sorted(Path(unfinished).iterdir(), key=lambda path: path.stat().st_mtime)
                for film in films:
                    _refuse_part(film, folder / film.name)
                    os.replace(film, folder / film.name)  # a link of this name is replaced, not followed
        for film in films:
            say(f" {folder / film.name}")
        return 0

    def _folder(self) -> Path:
        """Make the folder of the films; WrongUseError if its name is taken, by a symbolic link for example."""
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
            return self.out
        try:
            return folder_in((self.run_path if self.run_path.is_dir() else self.run_path.parent) / "videos")
        except FileExistsError as error:
            raise WrongUseError(f"{error.filename}: {error.strerror}: choose another --out") from error


def _refuse_part(film: Path, path: Path) -> None:
    """Raise if the last part of a film is missing: moviepy does not look how ffmpeg ends, on a full disk for example.

    An MP4 is a sequence of boxes, each with its size and its name; `moov` is written last (ISO/IEC 14496-12).
    """
    at, names = 0, set[bytes]()
    with open(film, "rb") as file:
        while len(head := file.read(16)) >= 8:
            size, name = int.from_bytes(head[:4], "big"), head[4:8]
            names.add(name)
            at += max(int.from_bytes(head[8:], "big") if size == 1 else size, 8)
            file.seek(at)
    if b"moov" not in names or at > film.stat().st_size:
        raise OSError(errno.ENOSPC, "the end of the film is missing; is there room on the disk?", str(path))


def _has_display() -> bool:
    """Return True if a window can be opened: on Linux, X, Wayland or a driver chosen for SDL (even one that draws nothing)."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in names)


@contextlib.contextmanager
def _rendering(mode: str, run: Path) -> Iterator[None]:
    """Context that turns errors of rendering (OpenGL, SDL, an environment that can't render) into a `WrongUseError`."""
    import gymnasium

    try:
        yield
    except (gymnasium.error.Error, AttributeError, NotImplementedError, ImportError) as error:
        raise WrongUseError(f"{run} can't be rendered ({mode}): {_message(error)}") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("glfw", "mujoco", "OpenGL", "pygame"):
            raise
        hint = "; without a display, MUJOCO_GL=egl or MUJOCO_GL=osmesa may help" if "mujoco" in _modules(error) else ""
        raise WrongUseError(f"{run} can't be rendered ({mode}): {_message(error)}{hint}") from error


def _modules(error: BaseException) -> set[str]:
    """Return the names of the packages in the traceback of an error."""
    found, trace = set(), error.__traceback__
    while trace is not None:
        found.add(str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0])
        trace = trace.tb_next
    return found


def _message(error: Any) -> str:
    return " ".join(str(error).split()) or type(error).__name__

"""`fastars enjoy` and `fastars video`: show a trained policy in a window, or record it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fastars._imports import need
from fastars.cli.drawing import can_open_windows, drawn, follow_body, prepare_frames
from fastars.cli.errors import WrongUseError
from fastars.cli.interrupts import Interrupts
from fastars.cli.loading import ReplayOptions, Trained, replay
from fastars.cli.run_folder import model_file, refuse_existing
from fastars.cli.settings import option
from fastars.cli.terminal import console, say
from fastars.files.opening import folder_in


@dataclass(frozen=True, kw_only=True)
class Enjoy(ReplayOptions):
    """Watch a trained policy in a window. The camera of MuJoCo follows the body."""

    def run(self) -> int:
        """Show the episodes and return the exit code."""
        if not can_open_windows():
            raise WrongUseError(f"there is no display here: fastars video {self.run_path} writes a file instead")
        with drawn("human", self.run_path):
            trained = self.load("human")
            follow_body(trained.env)
            replay(trained, self.n_eval_episodes, self.seed, "in a window")
        return 0


@dataclass(frozen=True, kw_only=True)
class Video(ReplayOptions):
    """Record a trained policy as a video, one file per episode. The camera of MuJoCo follows the body."""

    out: Annotated[Path | None, option("PATH", "videos in the run folder")] = None
    """Folder of the files. A file is named after the policy and the seed."""
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Replace existing films of the same policy and seeds."""

    def run(self) -> int:
        """Record the episodes and return the exit code."""
        model_file(self.run_path, self.last)  # a wrong RUN is an error with and without ffmpeg
        _need_ffmpeg()
        from fastars.cli.film import Filmed, film_progress, films_into

        with drawn("rgb_array", self.run_path), Interrupts():
            trained = self.load("rgb_array")
            prepare_frames()
            follow_body(trained.env)
            folder, names = self._folder(), self._names(trained)
            for name in names:  # before an hour of rendering
                refuse_existing(folder / name, self.overwrite)
            limit = None if trained.env.spec is None else trained.env.spec.max_episode_steps
            most = None if limit is None else limit + 1  # the first state has a frame too
            with films_into(folder, names) as paths, film_progress(console(stderr=True), len(names), most) as heard:
                filmed = trained._replace(env=Filmed(trained.env, paths, heard))
                replay(filmed, self.n_eval_episodes, self.seed, f"recorded in {folder}")
        for name in names:
            say(f" {folder / name}")
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

    def _names(self, trained: Trained) -> list[str]:
        """Return the names of the films: other policies, other seeds, and in one --out other run folders have other names."""
        run = f"{trained.path.resolve().parent.name}-" if self.out is not None else ""
        return [f"{run}{trained.path.stem}-seed-{self.seed + i}.mp4" for i in range(self.n_eval_episodes)]


def _need_ffmpeg() -> None:
    """Raise a WrongUseError if there is no ffmpeg, or not the package that calls it."""
    try:
        need("imageio_ffmpeg", "video", "a video").get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:  # RuntimeError: a package for a machine that it has no ffmpeg for
        raise WrongUseError(str(error)) from error

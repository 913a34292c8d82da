"""Films of episodes: ffmpeg writes a frame of the first state, and one after each step, while the episode runs.

A film is written under another name, and gets its own when it is whole. This module imports Gymnasium.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from fastars.cli.errors import WrongUseError
from fastars.cli.terminal import complain

if TYPE_CHECKING:
    from rich.console import Console

_FPS = 30  # of an environment that names none
_EVEN = "pad=ceil(iw/2)*2:ceil(ih/2)*2"  # H.264 with colours of half the resolution needs even sizes
_QUALITY = 7.0  # of 1 to 10
_INTERVAL = 10.0  # seconds between two lines of progress, where there is no terminal
Heard = Callable[[int, int], None]  # (index of the film, its frames until now)


class Filmed(gymnasium.Wrapper):
    """An environment whose episodes are written to films, one after the other; its rewards and observations stay as they are.

    Parameters
    ----------
    env : gymnasium.Env
        With the render mode "rgb_array".
    paths : sequence of Path
        The film of each episode.
    heard : callable
        Called after each frame with the index of the film and the number of its frames.
    """

    def __init__(self, env: gymnasium.Env, paths: Sequence[Path], heard: Heard) -> None:
        super().__init__(env)
        self._paths, self._heard = list(paths), heard
        self._film: Film | None = None
        self._n_films = 0

    def reset(self, **options: Any) -> Any:
        """Start an episode and its film."""
        self.finish()
        result = self.env.reset(**options)
        fps = self.env.metadata.get("render_fps") or _FPS
        self._film = Film(self._paths[self._n_films], fps)
        self._n_films += 1
        self._add_frame()
        return result

    def step(self, action: Any) -> Any:
        """Take a step."""
        result = self.env.step(action)
        self._add_frame()
        return result

    def finish(self) -> None:
        """End the present film."""
        film, self._film = self._film, None
        if film is not None:
            film.close()

    def close(self) -> None:
        """End the present film and close the environment."""
        self.finish()
        super().close()

    def _add_frame(self) -> None:
        if self._film is not None:
            self._film.add(self.env.render())
            self._heard(self._n_films - 1, self._film.n_frames)


class Film:
    """A film that ffmpeg writes, frame by frame; the first frame decides its size."""

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.n_frames = path, 0
        self._fps, self._shape = float(fps), (0, 0, 0)
        self._frames: Any = None  # a generator, to which frames are sent

    def add(self, frame: Any) -> None:
        """Add a frame, (height, width, 3) of uint8; WrongUseError if it is none, or of another size than the first."""
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            what = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else f"a {type(frame).__name__}"
            raise WrongUseError(f"a film needs frames that are arrays (height, width, 3) of uint8; render() returned {what}")
        if self._frames is None:
            self._shape = frame.shape
            self._frames = _written(self.path, self._shape, self._fps)
        if frame.shape != self._shape:
            raise WrongUseError(f"a film needs frames of one size; render() returned {self._shape}, then {frame.shape}")
        try:
            self._frames.send(np.ascontiguousarray(frame))
        except OSError as error:  # its message has the whole command of ffmpeg, which has printed the reason
            raise OSError(errno.ENOSPC, "ffmpeg stopped; is there room on the disk?", self.path.name) from error
        self.n_frames += 1

    def close(self) -> None:
        """Write the rest of the film."""
        if self._frames is not None:
            self._frames.close()


def _written(path: Path, shape: tuple[int, ...], fps: float) -> Any:
    """Return a generator that sends frames to ffmpeg."""
    import imageio_ffmpeg

    height, width, _ = shape
    frames = imageio_ffmpeg.write_frames(
        path,
        (width, height),
        fps=fps,
        quality=_QUALITY,
        macro_block_size=1,
        ffmpeg_log_level="error",
        output_params=["-vf", _EVEN, "-movflags", "+faststart"],
    )
    frames.send(None)
    return frames


@contextlib.contextmanager
def films_into(folder: Path, names: Sequence[str]) -> Iterator[list[Path]]:
    """Context with a path for each film. At its end, the films take their names in the folder; after an error, they are removed."""
    with tempfile.TemporaryDirectory(prefix=".fastars-", dir=folder) as unfinished:
        paths = [Path(unfinished) / name for name in names]
        yield paths
        for path in paths:
            refuse_part(path, folder / path.name)
        for path in paths:
            os.replace(path, folder / path.name)  # a link of this name is replaced, not followed


def refuse_part(film: Path, path: Path) -> None:
    """Raise if the last part of a film is missing: nobody tells how ffmpeg ended, on a full disk for example.

    An MP4 is a sequence of boxes, each with its size and its name; without `moov` there is no film (ISO/IEC 14496-12).
    """
    at, names = 0, set[bytes]()
    with contextlib.suppress(FileNotFoundError), open(film, "rb") as file:
        while len(head := file.read(16)) >= 8:
            size, name = int.from_bytes(head[:4], "big"), head[4:8]
            names.add(name)
            at += max(int.from_bytes(head[8:], "big") if size == 1 else size, 8)
            file.seek(at)
    if not {b"moov", b"mdat"} <= names or at > film.stat().st_size:
        raise OSError(errno.ENOSPC, "the end of the film is missing; is there room on the disk?", str(path))


@contextlib.contextmanager
def film_progress(console: Console, n_films: int, most_frames: int | None) -> Iterator[Heard]:
    """Context with a function that shows how many frames are done: in a line that changes on a terminal, else every 10 s."""
    of_most = "" if most_frames is None else f" of at most {most_frames:,}"

    start = shown = time.perf_counter()
    n_all = 0
    with contextlib.ExitStack() as stack:
        status = stack.enter_context(console.status("Drawing ...")) if console.is_terminal else None
        interval = _INTERVAL if status is None else 0.1

        def heard(film: int, n_frames: int) -> None:
            nonlocal shown, n_all
            n_all += 1
            now = time.perf_counter()
            if now - shown < interval:
                return
            shown = now
            text = f"film {film + 1} of {n_films}: {n_frames:,}{of_most} frames, {n_all / (now - start):.0f} frames/s"
            complain(text) if status is None else status.update(text)

        yield heard

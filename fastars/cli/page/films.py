"""Films of a run, as a part of the page."""

from __future__ import annotations

import base64
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from fastars.cli.page.elements import Html, commands, element
from fastars.cli.page.facts import Facts
from fastars.files.archives import content
from fastars.files.opening import is_there

_FOLDER = "videos"
_KINDS = {".mp4": "video/mp4", ".webm": "video/webm", ".gif": "image/gif"}
_MOST = 8 << 20  # bytes of all films on a page: it must open on a phone, and travel by mail


def films_content(runs: Sequence[Facts]) -> Iterator[Html]:
    """Yield the films of the runs, as long as there is room; of others, where they are."""
    room, found = _MOST, False
    for each in runs:
        for path in _films(each.folder):
            found, n_bytes = True, path.stat().st_size
            if n_bytes > room:
                yield element(
                    "p", f"{path} is not on this page: {n_bytes / 1e6:.1f} MB, and there is room for {_MOST / 1e6:.0f} MB."
                )
                continue
            room -= n_bytes
            yield _film(path)
    if not found:
        yield element("p", "There is no film. This makes one, and a new report shows it:")
        yield commands(shlex.join(["fastars", "video", str(runs[0].folder)]))


def _films(folder: Path) -> list[Path]:
    """Return the films in a run folder, which may come from anybody: no link is followed."""
    videos = folder / _FOLDER
    if videos.is_symlink() or not videos.is_dir():
        return []
    return [videos / name for name in sorted(os.listdir(videos)) if Path(name).suffix in _KINDS and is_there(videos / name)]


def _film(path: Path) -> Html:
    kind = _KINDS[path.suffix]
    source = f"data:{kind};base64,{base64.b64encode(content(path, _MOST)).decode('ascii')}"
    caption = element("figcaption", str(path))
    if kind.startswith("image/"):
        return element("figure", caption, element("img", src=source, alt=f"Film of an episode: {path.name}"))
    return element(
        "figure", caption, element("video", src=source, controls=True, muted=True, aria_label=f"Film of an episode: {path.name}")
    )

"""`fastars report`: write one HTML page about one or more runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fastars.cli.errors import WrongUseError
from fastars.cli.run_folder import refuse_other
from fastars.cli.seeds import run_folders
from fastars.cli.settings import option
from fastars.cli.terminal import say

_STEM, _SUFFIXES = "report", (".html", ".htm")


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write one HTML page about runs: curves, evaluations, settings, health, films, and how to repeat them.

    The page needs no other file and no network. Runs that differ only in their seed become one curve with a 95 % band.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
    """Run folders, or folders of several seeds."""
    out: Annotated[Path | None, option("FILE", "report.html in the first RUN, or report_2.html, ...")] = None
    """The page to write: .html or .htm."""
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Replace a FILE that is not a page of these runs."""
    title: Annotated[str | None, option("TEXT", "the environment and the seed")] = None
    """Heading of the page."""

    def run(self) -> int:
        """Write the page and return the exit code."""
        if not self.runs:
            raise WrongUseError("fastars report takes run folders, such as runs/CartPole-v1_1")
        if self.out is not None and self.out.suffix not in _SUFFIXES:
            raise WrongUseError(f"--out must end with .html or .htm, got {self.out}")
        import numpy as np

        from fastars.cli.page.facts import read_facts  # these import NumPy, and `--help` imports this module
        from fastars.cli.page.page import page_of
        from fastars.files.atomic import write_atomically
        from fastars.plot.files import free_name, mark_of

        folders = list({folder.resolve(): folder for path in self.runs for folder in run_folders(path)}.values())
        mark = mark_of({"page of": sorted(str(folder.resolve()) for folder in folders)})
        out = self.out
        if out is not None:
            refuse_other(out, self.overwrite, mark, "a page of these runs")
        with np.errstate(over="ignore", invalid="ignore"):  # means of returns near the largest numbers are infinite, and shown so
            page = page_of([read_facts(folder) for folder in folders], mark, self.title)
        # A name of ours, in a folder that may come from anybody, follows no link.
        path = free_name(self.runs[0], _STEM, mark, ".html") if out is None else out
        write_atomically(path, [page.encode()], follow=out is not None)
        say(str(path))
        return 0

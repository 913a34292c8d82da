"""The line that says that kernels are compiled: to somebody who looks, once, and to nobody else.

Broken on purpose: a line that is always written, or each time, or counts as said where nobody heard it; no look at the
terminal, a notebook, the log, the parent process, `verbose`, or this only after the constructor; errors of stderr raised; other
listeners left out or not removed; kernels announced that are in the cache, or those not that can't be kept; one text for both.
Each is red, by the test of its name.
"""

import logging
import multiprocessing
import os
import pty
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastars import ARS
from fastars._compiled import announcing, jit

ROOT = Path(__file__).parent.parent
LINE = "fastars: compiling the kernels for this processor, once: usually 5 to 20 s\n"
NOT_KEPT = "fastars: compiling kernels, which can't be kept: every process does so\n"
FILE = Path("a file of the cache")
TWO_KERNELS = """
import numpy as np
from fastars import kernels
kernels.norm(np.arange(3.0)), kernels.norm_sq(np.arange(3.0))
"""


@pytest.fixture(autouse=True)
def line(monkeypatch):
    """A process that has said nothing."""
    new = announcing._Line()
    monkeypatch.setattr(announcing, "_line", new)
    monkeypatch.setattr(announcing, "_listeners", [new.say])
    return new


def terminal(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def heard(code, cache, terminal):
    """(stdout, stderr) of a process that runs this code with a cache, with its stderr a terminal or a pipe."""
    environment = {**os.environ, "FASTARS_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    ours, theirs = pty.openpty() if terminal else os.pipe()
    process = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=theirs, check=True)
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 1 << 16):
            said += part
    except OSError:  # the end of a terminal
        pass
    os.close(ours)
    return process.stdout.decode(), said.decode().replace("\r", "")


compiles = pytest.mark.skipif(jit.numba.config.DISABLE_JIT, reason="nothing is compiled")


@compiles
@pytest.mark.skipif(os.name != "posix", reason="terminals of POSIX")
def test_a_terminal_gets_one_line_for_all_kernels_and_none_when_they_are_in_the_cache(tmp_path):
    assert heard(TWO_KERNELS, tmp_path, terminal=True) == ("", LINE)
    assert heard(TWO_KERNELS, tmp_path, terminal=True) == ("", "")


@compiles
def test_a_script_without_a_terminal_is_silent(tmp_path):
    assert heard(TWO_KERNELS, tmp_path, terminal=False) == ("", "")


@compiles
@pytest.mark.skipif(os.name != "posix", reason="terminals of POSIX")
def test_kernels_that_cannot_be_kept(tmp_path):
    (tmp_path / "file").touch()
    assert heard(TWO_KERNELS, tmp_path / "file", terminal=True) == ("", NOT_KEPT)


@pytest.mark.parametrize(("verbose", "said"), [(0, ""), (1, LINE), (2, LINE)])
def test_a_verbose_model_gets_it_without_a_terminal(verbose, said, capsys):
    ARS("LinearPolicy", "CartPole-v1", seed=0, verbose=verbose)
    announcing.announce(FILE)
    assert capsys.readouterr().err == said


def test_a_model_is_told_of_what_its_own_constructor_compiles(monkeypatch, capsys):
    """The lanes are compiled there."""
    monkeypatch.setattr("fastars.ars.make_run", lambda *arguments: announcing.announce(FILE) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ARS("LinearPolicy", "CartPole-v1", seed=0, verbose=1)
    assert capsys.readouterr().err == LINE


def test_a_later_model_that_is_verbose_gets_what_nobody_heard(capsys):
    announcing.announce(FILE)
    announcing.tell_on_stderr()
    announcing.announce(FILE)
    announcing.announce(FILE)
    assert capsys.readouterr().err == LINE


@pytest.mark.parametrize(("path", "said"), [(FILE, LINE), (None, NOT_KEPT)], ids=["kept", "not kept"])
def test_a_notebook_gets_it(path, said, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    announcing.announce(path)
    assert capsys.readouterr().err == said


def test_a_log_that_shows_it_gets_it_in_place_of_stderr(caplog, capsys):
    announcing.tell_on_stderr()
    with caplog.at_level(logging.INFO, "fastars"):
        announcing.announce(FILE)
        announcing.announce(FILE)
    assert [record.message for record in caplog.records] == ["Compiling the kernels for this processor, once: usually 5 to 20 s"]
    assert capsys.readouterr().err == ""


def test_of_several_processes_the_first_speaks(monkeypatch, capsys):
    terminal(monkeypatch)
    with monkeypatch.context() as child:
        child.setattr(multiprocessing, "parent_process", lambda: "its parent")
        announcing.announce(FILE)
    assert capsys.readouterr().err == ""
    announcing.announce(FILE)
    assert capsys.readouterr().err == LINE


class Broken:
    def isatty(self):
        return True

    def write(self, text):
        raise BrokenPipeError


class Closed(Broken):
    def isatty(self):
        raise ValueError("I/O operation on closed file")


@pytest.mark.parametrize("stderr", [None, object(), Broken(), Closed()], ids=["none", "no file", "broken", "closed"])
def test_a_stderr_that_cannot_be_written(stderr, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", stderr)
    announcing.announce(FILE)
    announcing.tell_on_stderr()
    announcing.announce(FILE)
    assert capsys.readouterr().out == ""


def test_somebody_else_may_say_it(monkeypatch, capsys):
    """As the command does."""
    terminal(monkeypatch)
    said = []
    with announcing.announced_to(said.append):
        announcing.announce(FILE)
    assert said == ["Compiling the kernels for this processor, once: usually 5 to 20 s"]
    assert capsys.readouterr().err == ""
    announcing.announce(FILE)
    assert capsys.readouterr().err == LINE

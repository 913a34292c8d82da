"""On a full disk, every command ends in one line, or goes on: it names the file, what is lost, and what to do.

`RLIMIT_FSIZE` stands for the disk, and `/dev/full` for stdout and stderr. A run whose files do not fit is in test_kills.py, too.

Broken on purpose, one at a time: `naming` that adds no name, the command's own words for a full disk left out, or `config.toml`
left where the first model does not fit -> test_commands_on_a_full_disk_name_the_file_and_what_to_do red; the error at the end of
a run as it is -> test_a_run_whose_end_does_not_fit_says_what_is_lost red; errors of stderr not passed over ->
test_a_run_goes_on_where_stderr_is_full red; no flush after the help -> test_a_full_stdout_is_named red; films that end within a
box taken -> test_a_film_without_its_end_is_an_error red; no name in `LineWriter`, or in `write_atomically` -> their tests red;
errors of a `Monitor`'s file passed on -> test_a_monitor_of_stable_baselines3_on_a_full_disk red.
"""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastars.cli import main
from fastars.cli.watch import _refuse_part
from fastars.files.atomic import write_atomically
from fastars.files.errors import naming
from fastars.files.lines import LineWriter
from fastars.sb3.monitor import write_rows

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_FSIZE and /dev/full")

# Runs commands, each with a disk on which no file may have more bytes than its number says, and prints what each did.
RUNS = """if True:
    import contextlib, io, json, resource, signal, sys
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    from fastars.cli import main
    from fastars import exchange, plot

    for room, *arguments in json.loads(sys.argv[1]):
        out, err = io.StringIO(), io.StringIO()
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(arguments)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(json.dumps([arguments[0], code, err.getvalue()]))
"""
TRAIN = ["train", "CartPole-v1", "--eval-episodes", "2", "--n-delta", "2", "--log-interval", "99", "--no-progress", "--seed", "1"]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main([*TRAIN, "--total-timesteps", "1000", "--eval-freq", "300", "--run-folder", str(folder)]) == 0
    return folder


def done(folder, *commands):
    """Run commands in a process, each with so many bytes; return (command, exit code, lines on stderr)."""
    arguments = [sys.executable, "-c", RUNS, json.dumps(commands)]
    result = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=300, check=True)
    return [(name, code, said.splitlines()) for name, code, said in map(json.loads, result.stdout.splitlines())]


@pytest.mark.promise(4)
def test_commands_on_a_full_disk_name_the_file_and_what_to_do(run_folder, tmp_path, tally):
    pytest.importorskip("matplotlib", reason="needs fastars[plot]")
    run = str(run_folder)
    written = {  # what does not fit
        "config.toml": [10, *TRAIN, "--total-timesteps", "1000", "--run-folder", "a"],
        "model.zip": [3_000, *TRAIN, "--total-timesteps", "1000", "--run-folder", "b"],
        f"{run}/policy.npz": [100, "export", run, "--to", "npz"],
        f"{run}/lin_policy_plus.npz": [100, "export", run, "--to", "original"],
        f"{run}/learning_curve.png": [100, "plot", run],
        "own.svg": [100, "plot", run, "--out", "own.svg"],
        f"{run}/report.html": [100, "report", run],
        f"{run}/config.toml": [10, "resume", run, "--total-timesteps", "5000", "--no-progress"],
    }
    before = {path.name: path.read_bytes() for path in run_folder.iterdir()}
    for (name, _), (command, code, lines) in zip(written.items(), done(tmp_path, *written.values()), strict=True):
        assert code == 1, (command, lines)
        assert len(lines) == 1
        assert re.match(rf"fastars: error: .*{re.escape(name)} can't be written: File too large; .*Make room", lines[0])
        assert "Errno" not in lines[0]
    assert {path.name: path.read_bytes() for path in run_folder.iterdir()} == before
    assert all(not list((tmp_path / name).iterdir()) for name in "ab")  # the same command can begin the run
    tally("commands on a full disk that name the file and what to do, in one line", len(written), of=len(written))


@pytest.mark.promise(4)
def test_a_run_whose_end_does_not_fit_says_what_is_lost(run_folder, tmp_path, tally):
    (tmp_path / "run").mkdir()
    for path in run_folder.iterdir():
        (tmp_path / "run" / path.name).write_bytes(path.read_bytes())
    before = (tmp_path / "run" / "model.zip").read_bytes()
    ((_, code, lines),) = done(tmp_path, [2_500, "resume", "run", "--total-timesteps", "5000", "--no-progress"])
    assert code == 1
    wanted = (
        r"fastars: error: .*\.(zip|npz) can't be written: File too large; the policy after [\d,]+ steps is lost\. Make room, .*"
    )
    assert re.fullmatch(rf"{wanted}fastars resume run", lines[-1])
    assert all(re.search(r"/progress\.csv'$|\.(zip|npz)'$", line) for line in lines[:-1])  # warnings name files as well
    assert (tmp_path / "run" / "model.zip").read_bytes() == before
    ((_, code, _),) = done(tmp_path, [10**9, "resume", "run", "--no-progress"])
    assert code == 0
    tally("a run on a full disk, resumed when there was room", 1, of=1)


@pytest.mark.promise(4)
@pytest.mark.parametrize("command", ["--version", "--help", "train --help", "envs", "eval RUN", "export RUN --to npz", "plot RUN"])
def test_a_full_stdout_is_named(run_folder, tmp_path, command, monkeypatch, capfd, tally):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        code = main(command.replace("RUN", str(run_folder)).split())
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # for what `close` writes
    assert code == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("fastars: error: the standard output can't be written: No space left on device")
    tally(f"`fastars {command.split()[0]}` on a full stdout", 1, of=1)


@pytest.mark.promise(4)
def test_a_run_goes_on_where_stderr_is_full(tmp_path, monkeypatch, capfd, tally):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        code = main([*TRAIN[:-3], "--total-timesteps", "1000", "--run-folder", str(tmp_path / "run"), "--seed", "1"])
        other = main(["eval", str(tmp_path / "nothing")])
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())
    assert (code, other) == (0, 2)
    assert (tmp_path / "run" / "model.zip").exists()
    tally("a run with a full stderr", 1, of=1)


def test_an_error_of_the_system_gets_the_name_of_the_file(tmp_path):
    def full():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=r"No space left on device: 'a'$"), naming("a"):
        full()
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: 'b'$"), naming("a"):
        open("b")  # noqa: SIM115
    with pytest.raises(OSError, match=r"words$"), naming("a"):
        raise OSError("words")


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_no_error_names_a_temporary_file(tmp_path, monkeypatch, function):
    def full(*names):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *(names[:1] if function == "replace" else ()), None, *names[1:])

    monkeypatch.setattr(os, function, full)
    with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}/a'$"):
        write_atomically(tmp_path / "a", [b"x"])


def test_a_line_that_does_not_fit_names_its_file(tmp_path, monkeypatch):
    lines = LineWriter(tmp_path / "log.txt", append=False)
    lines.write("a\n")

    class Full:
        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def truncate(self, size):
            pass

        def close(self):
            pass

    monkeypatch.setattr(lines, "_file", Full())
    with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}/log\.txt'$"):
        lines.write("b\n")


def test_a_monitor_of_stable_baselines3_on_a_full_disk_loses_rows_and_says_so():
    class Writer:
        def __init__(self, file):
            self.file_handler, self.logger = file, self
            self.fieldnames = ("r", "l", "t")

    with open("/dev/full", "w") as full:
        with pytest.warns(RuntimeWarning, match=r"rows of /dev/full are lost, training goes on: No space left on device"):
            write_rows(Writer(full), 0.0, [1.0, 1.0], [1, 1])
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


def box(name, content):
    return (8 + len(content)).to_bytes(4, "big") + name + content


@pytest.mark.parametrize(
    ("content", "is_whole"),
    [
        (box(b"ftyp", b"isom") + box(b"mdat", bytes(100)) + box(b"moov", bytes(20)), True),
        (box(b"ftyp", b"isom") + b"\0\0\0\1mdat" + (116).to_bytes(8, "big") + bytes(100) + box(b"moov", bytes(20)), True),
        (box(b"ftyp", b"isom") + box(b"mdat", bytes(100)), False),
        (box(b"ftyp", b"isom") + box(b"mdat", bytes(100)) + box(b"moov", bytes(20))[:-1], False),
        (box(b"ftyp", b"isom") + box(b"mdat", bytes(100))[:50], False),
        (b"\0\0\0\0mdat" + bytes(100), False),
        (b"", False),
    ],
)
def test_a_film_without_its_end_is_an_error(tmp_path, content, is_whole):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    if is_whole:
        _refuse_part(path, Path("b.mp4"))
    else:
        with pytest.raises(OSError, match=r"the end of the film is missing; is there room on the disk\?: 'b\.mp4'"):
            _refuse_part(path, Path("b.mp4"))

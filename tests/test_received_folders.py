"""A run folder of anybody: no link in it is followed, for reading or for writing; no pipe, device or folder is opened as a file.

The folder itself, and every path that the user writes out, may be a link.

Broken on purpose, one at a time: `is_there` by `os.stat`, which follows links, or `refuse_links` that looks at no name ->
test_nothing_but_files_is_opened_in_a_run_folder red; `without_link` that removes nothing, or `write_atomically` that always
follows -> test_a_file_takes_the_place_of_a_link red; `open_regular` without a look at the kind ->
test_a_file_that_is_none_is_refused_at_once waits, red; second names passed over ->
test_a_file_with_other_names_gets_its_own_content_before_lines_are_added red; `exists` for the free name of a failure, `failures`
or a checkpoint of rllib in a folder that is a link, `O_NOFOLLOW` left out of the log, `exists` for the model of an import,
`ARS.load` in rllib and `latest_checkpoint` through a link -> their tests red; the folder of films or of rllib's checkpoint made
through a link, or a film written through one -> their tests red; files read up to the limit before their size is compared ->
test_a_file_of_a_terabyte_is_not_read red (256 MiB).
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import sys
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest

import fastars
from fastars import ARS, exchange, latest_checkpoint, plot, rllib
from fastars.callbacks import CheckpointCallback, EvalCallback
from fastars.cli import main
from fastars.cli.run_folder import refuse_links
from fastars.exchange import arrays
from fastars.files import checkpoint, tables
from fastars.files.atomic import sweep_temporaries, write_atomically
from fastars.files.errors import DamagedFileError
from fastars.files.lines import LineWriter
from fastars.logger import Logger
from fastars.logger.monitor import EpisodeWriter
from fastars.replay import replay
from fastars.training.failures import FailureLog

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, pipes and devices of POSIX")
PRECIOUS = b"precious\n" * 5


@contextlib.contextmanager
def within(seconds):
    """An opened pipe without a writer waits for ever: end it, and fail."""

    def give_up(*_):
        raise AssertionError(f"it waits, for {seconds} s by now")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A finished run with every file that a run can have, in two parts, so that there is something to go on with."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    options = ["--total-timesteps", "1000", "--eval-freq", "300", "--eval-episodes", "2", "--save-freq", "400", "--n-delta", "2"]
    options += ["--preset", "modestyachts", "--monitor", "--no-progress", "--seed", "1"]
    assert main(["train", "CartPole-v1", "--run-folder", str(folder), *options]) == 0
    return folder


@pytest.fixture
def run_folder(original, tmp_path):
    shutil.copytree(original, tmp_path / "run")
    return tmp_path / "run"


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def put(kind, path, victim):
    """Put something else in the place of a file: its content is then that of the file, where a link leads to it."""
    content = path.read_bytes() if path.is_file() else PRECIOUS
    path.unlink(missing_ok=True)
    match kind:
        case "link":
            victim.write_bytes(content)
            path.symlink_to(victim)
        case "link to nothing":
            path.symlink_to(victim)
        case "link inside":
            (path.parent / "own").write_bytes(content)
            path.symlink_to("own")
        case "link to a pipe":
            os.mkfifo(victim)
            path.symlink_to(victim)
        case "link to zeros":
            path.symlink_to("/dev/zero")
        case "link to full":
            path.symlink_to("/dev/full")
        case "link to proc":
            path.symlink_to("/proc/self/maps")
        case "link to itself":
            path.symlink_to(path.name)
        case "pipe":
            os.mkfifo(path)
        case "socket":
            here = os.getcwd()
            os.chdir(path.parent)  # names of sockets are short
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(path.name)
            os.chdir(here)
        case "folder":
            path.mkdir()


KINDS = ["link", "link to nothing", "link inside", "link to a pipe", "link to zeros", "link to full", "link to proc"]
KINDS += ["link to itself", "pipe", "socket", "folder"]
FILES = ["config.toml", "model.zip", "best_model.zip", "evaluations.npz", "progress.csv", "0.monitor.csv", "log.txt", "params.json"]
FILES += ["lin_policy_plus.npz", "model_412_steps.zip"]
COMMANDS = {
    "resume": lambda folder: ["resume", str(folder), "--total-timesteps", "2200", "--no-progress"],
    "eval": lambda folder: ["eval", str(folder)],
    "eval last": lambda folder: ["eval", str(folder), "--last"],
    "verify": lambda folder: ["verify", str(folder), "--seed", "1", "--episodes", "2"],
    "plot": lambda folder: ["plot", str(folder)],
    "plot train": lambda folder: ["plot", str(folder), "--metric", "train"],
    "report": lambda folder: ["report", str(folder)],
    "export": lambda folder: ["export", str(folder), "--to", "npz"],
}
READ = {  # files that a command reads; resume refuses all of them
    "resume": FILES,
    "eval": ["best_model.zip"],
    "eval last": ["model.zip"],
    "verify": ["config.toml", "model.zip", "best_model.zip", "evaluations.npz", "0.monitor.csv"],
    "plot": ["config.toml", "evaluations.npz", "progress.csv"],
    "plot train": ["config.toml", "progress.csv"],
    "report": ["config.toml", "model.zip", "best_model.zip", "evaluations.npz", "progress.csv"],
    "export": ["best_model.zip"],
}
WRITTEN = {"plot": "learning_curve.png", "report": "report.html", "export": "policy.npz"}  # under names of ours, beside the run


def checked_names(folder):
    (step,) = [name for name in names_in(folder) if name.startswith("model_4")]
    return step


@pytest.mark.promise(6)
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_but_files_is_opened_in_a_run_folder(run_folder, tmp_path, command, capsys, tally):
    pytest.importorskip("matplotlib", reason="needs fastars[plot]")
    victim, faults, n = tmp_path / "victim", [], 0
    first = next(name for name in names_in(run_folder) if name.startswith("model_") and name.endswith("_steps.zip"))
    names = [first if name.startswith("model_4") else name for name in [*READ[command], *WRITTEN.get(command, "").split()]]
    for name in names:
        for kind in KINDS if command in ("resume", "verify") or name in WRITTEN.values() else KINDS[::3]:
            shutil.copytree(run_folder, tmp_path / "copy")
            folder, n = tmp_path / "copy", n + 1
            put(kind, folder / name, victim)
            before = victim.read_bytes() if kind == "link" else None
            listed = names_in(folder)
            with within(20), warnings.catch_warnings():
                warnings.simplefilter("always")
                code = main(COMMANDS[command](folder))
            said = capsys.readouterr().err
            (line,) = [line for line in said.splitlines() if line.startswith("fastars: error: ")] or [""]
            right = {
                "it says so": "is a symbolic link" in line if "link" in kind else "regular file" in line or "no run folder" in line,
                "it names the file": f"{folder / name} is" in line or name == "config.toml",
                "it fails": code in (1, 2),
                "nothing is written": names_in(folder) == listed,
                "the victim": (victim.read_bytes() == before) if kind == "link" else not victim.is_file(),
            }
            faults += [(name, kind, what, line) for what, is_right in right.items() if not is_right]
            shutil.rmtree(folder)
            victim.unlink(missing_ok=True)
    assert not faults
    tally(f"links, pipes and others in a run folder that `fastars {command}` refused", n, of=n)


def test_all_files_that_a_run_writes_are_looked_at(original):
    for name in names_in(original):
        assert name in FILES or name.startswith("model_")


def test_a_link_of_another_name_is_no_matter(run_folder, tmp_path):
    (run_folder / "notes").symlink_to(tmp_path)
    refuse_links(run_folder)
    assert main(["resume", str(run_folder), "--total-timesteps", "2200", "--no-progress"]) == 0


def test_the_folder_may_be_a_link(run_folder, tmp_path):
    (tmp_path / "linked").symlink_to(run_folder)
    assert main(["resume", str(tmp_path / "linked"), "--total-timesteps", "2200", "--no-progress"]) == 0
    assert main(["eval", str(tmp_path / "linked")]) == 0


def test_a_model_that_the_user_names_may_be_a_link(run_folder, tmp_path):
    (tmp_path / "mine.zip").symlink_to(run_folder / "model.zip")
    assert main(["eval", str(tmp_path / "mine.zip")]) == 0
    model = ARS.load(tmp_path / "mine.zip")
    model.save(tmp_path / "mine.zip")
    assert (tmp_path / "mine.zip").is_symlink()


def trained():
    return ARS("LinearPolicy", "CartPole-v1", seed=0, n_delta=2)


def failure_in(folder):
    model = trained()
    log = FailureLog("CartPole-v1", model.run.env)
    listener = log.listener(model.run, model.state, np.zeros((4, model.n_weights)), np.zeros((2, 2, 1), np.uint64), folder)
    from fastars.samplers.failure import Failure

    listener(Failure(0, 0, 1, False, "an error"))


def learned(*callbacks):
    trained().learn(1, list(callbacks))


WRITERS = {  # what writes a file of ours into a folder: (name of the file, function of the folder)
    "checkpoint": ("rl_model_STEPS_steps.zip", lambda folder: learned(CheckpointCallback(1, folder))),
    "best model": (
        "best_model.zip",
        lambda folder: learned(EvalCallback(None, eval_freq=1, best_model_save_path=folder, verbose=0)),
    ),
    "evaluations": ("evaluations.npz", lambda folder: learned(EvalCallback(None, eval_freq=1, log_path=folder, verbose=0))),
    "csv": ("progress.csv", lambda folder: Logger(folder, formats=["csv"])),
    "json": ("progress.json", lambda folder: Logger(folder, formats=["json"])),
    "log": ("log.txt", lambda folder: Logger(folder, formats=["log"])),
    "monitor": ("0.monitor.csv", lambda folder: EpisodeWriter(folder / "0.monitor.csv", "CartPole-v1")),
    "monitor that goes on": ("0.monitor.csv", lambda folder: EpisodeWriter(folder / "0.monitor.csv", "CartPole-v1", append=True)),
    "monitor_dir": ("0.monitor.csv", lambda folder: ARS("LinearPolicy", "CartPole-v1", seed=0, monitor_dir=folder)),
    "rllib's model": ("checkpoint_000000/model.zip", lambda folder: algorithm().save(folder)),
    "rllib's counts": ("checkpoint_000000/algorithm.zip", lambda folder: algorithm().save(folder)),
}


def algorithm():
    return rllib.ARSConfig().environment("CartPole-v1").training(model={"fcnet_hiddens": []}, noise_size=100_000).build()


@pytest.mark.promise(6)
@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_takes_the_place_of_a_link(tmp_path, writer, tally):
    """Also where a script writes into a folder, which the user may have got from anybody."""
    name, write = WRITERS[writer]
    model = trained().learn(1)
    name = name.replace("STEPS", str(model.num_timesteps))
    for number, kind in enumerate(["link", "link to nothing", "link to a pipe", "link to zeros", "link to itself"]):
        folder = tmp_path / str(number)
        victim = tmp_path / f"victim_{number}"
        (folder / name).parent.mkdir(parents=True)
        put(kind, folder / name, victim)
        with within(20):
            write(folder)
        assert not (folder / name).is_symlink()
        assert (folder / name).is_file()
        if kind == "link":
            assert victim.read_bytes() == PRECIOUS
        assert victim.exists() == (kind in ("link", "link to a pipe"))
    tally(f"links replaced by the file of a writer, {writer}", 5, of=5)


@pytest.mark.parametrize("kind", ["link", "link to nothing", "link to a pipe", "pipe", "folder"])
@pytest.mark.parametrize("format", ["csv", "json", "log"])
def test_a_log_that_goes_on_refuses_a_link(tmp_path, kind, format):
    name = {"csv": "progress.csv", "json": "progress.json", "log": "log.txt"}[format]
    put(kind, tmp_path / name, tmp_path / "victim")
    with within(20), pytest.raises(ValueError, match=rf"{name} is (a symbolic link|not a regular file)"):
        Logger(tmp_path, formats=[format], append=True)


def test_a_log_whose_file_becomes_a_link_loses_rows_and_says_so(tmp_path):
    """Between two rows, after `close`: the file is opened again."""
    logger = Logger(tmp_path, formats=["csv"])
    logger.record("a", 1)
    logger.dump()
    logger.close()
    put("link", tmp_path / "progress.csv", tmp_path / "victim")
    before = (tmp_path / "victim").read_bytes()
    logger.record("a", 2)
    with pytest.warns(RuntimeWarning, match=r"rows of the log are lost, training goes on: .*progress\.csv"):
        logger.dump()
    assert (tmp_path / "victim").read_bytes() == before


def test_a_file_with_other_names_gets_its_own_content_before_lines_are_added(tmp_path):
    (tmp_path / "mine").write_bytes(b"a\nhalf")
    os.link(tmp_path / "mine", tmp_path / "log.txt")
    lines = LineWriter(tmp_path / "log.txt", append=True)
    lines.write("b\n")
    lines.close()
    assert (tmp_path / "mine").read_bytes() == b"a\nhalf"
    assert (tmp_path / "log.txt").read_bytes() == b"a\nb\n"
    os.unlink(tmp_path / "log.txt")
    os.link(tmp_path / "mine", tmp_path / "log.txt")
    LineWriter(tmp_path / "log.txt", append=False).write("c\n")
    assert (tmp_path / "mine").read_bytes() == b"a\nhalf"


def test_a_failure_is_kept_under_no_name_that_is_a_link(tmp_path):
    (tmp_path / "failures").mkdir()
    (tmp_path / "failures" / "failure_0.zip").symlink_to(tmp_path / "nothing")
    failure_in(tmp_path)
    assert not (tmp_path / "nothing").exists()
    assert names_in(tmp_path / "failures") == ["failure_0.zip", "failure_1.zip"]


def test_failures_are_kept_in_no_folder_that_is_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "failures").symlink_to(tmp_path / "elsewhere")
    failure_in(tmp_path / "log")
    assert names_in(tmp_path / "elsewhere") == []


def test_temporary_names_that_are_links_or_pipes_are_swept_or_left_and_not_opened(tmp_path):
    names = [f".fastars-{number}-0123456789abcdef.tmp" for number in range(3)]
    put("link", tmp_path / names[0], tmp_path / "victim")
    os.mkfifo(tmp_path / names[1])
    (tmp_path / names[2]).mkdir()
    with within(20):
        sweep_temporaries(tmp_path)
    assert (tmp_path / "victim").read_bytes() == PRECIOUS


READERS = {
    "ARS.load": ARS.load,
    "exchange.read": exchange.read,
    "replay": replay,
    "checkpoint.load": checkpoint.load,
}


@pytest.mark.promise(6)
@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_is_none_is_refused_at_once(tmp_path, reader, tally):
    """Under the name that the user gives, which may be a link."""
    kinds = ["pipe", "link to a pipe", "link to zeros", "link to full", "link to proc", "socket", "folder"]
    for number, kind in enumerate(kinds):
        path = tmp_path / f"{number}.zip"
        put(kind, path, tmp_path / f"victim_{number}")
        with within(20), pytest.raises(fastars.CheckpointError, match=str(path)):
            READERS[reader](path)
    tally(f"pipes, devices and others refused by {reader}", len(kinds), of=len(kinds))


@pytest.mark.parametrize("reader", [*READERS, "read_arrays", "read_toml"])
def test_a_file_of_a_terabyte_is_not_read(tmp_path, reader):
    """It has a size, but takes no place on the disk."""
    path = tmp_path / "a.zip"
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    read = {"read_arrays": tables.read_arrays, "read_toml": tables.read_toml, **READERS}[reader]
    with pytest.raises((fastars.CheckpointError, DamagedFileError), match=re.escape(str(path))):
        read(path)  # the first error imports modules
    tracemalloc.start()
    try:
        with within(20), pytest.raises((fastars.CheckpointError, DamagedFileError), match=re.escape(str(path))):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 21
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "path", ["/dev/zero", "/dev/full", "/dev/null", "/dev/stdin", "/dev/tty", "/proc/self/mem", "/proc/self/pagemap"]
)
@pytest.mark.skipif(sys.platform != "linux", reason="names of Linux")
def test_names_of_the_system_are_no_models(path):
    with within(20), pytest.raises((fastars.CheckpointError, OSError), match=path):
        ARS.load(path)


def test_a_link_is_no_checkpoint_and_the_one_before_it_is_taken(tmp_path):
    trained().save(tmp_path / "rl_model_5_steps.zip")
    put("link", tmp_path / "rl_model_9_steps.zip", tmp_path / "victim")
    os.mkfifo(tmp_path / "rl_model_8_steps.zip")
    with (
        within(20),
        pytest.warns(RuntimeWarning, match="is (a symbolic link|not a regular file).*the checkpoint before it is taken"),
    ):
        assert latest_checkpoint(tmp_path) == tmp_path / "rl_model_5_steps.zip"


def test_rllibs_checkpoint_is_read_through_no_link(tmp_path):
    saved = Path(algorithm().save(tmp_path))
    for name in ("algorithm.zip", "model.zip"):
        shutil.copytree(saved, tmp_path / "copy")
        put("link", tmp_path / "copy" / name, tmp_path / "victim")
        with pytest.raises(ValueError, match=f"{name} is a symbolic link"):
            rllib.ARS.from_checkpoint(tmp_path / "copy")
        shutil.rmtree(tmp_path / "copy")


def test_rllibs_checkpoint_goes_into_no_folder_that_is_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "checkpoint_000000").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError, match="a symbolic link"):
        algorithm().save(tmp_path / "saved")
    assert names_in(tmp_path / "elsewhere") == []


def test_plot_reads_folders_of_others_through_no_link(tmp_path):
    (tmp_path / "0.monitor.csv").write_text('#{"t_start": 1.0}\nr,l,t\n1,2,3\n4,5,6\n')
    put("link", tmp_path / "0.monitor.csv", tmp_path / "victim")
    with pytest.raises(ValueError, match=r"0\.monitor\.csv is a symbolic link"):
        plot.read_run(tmp_path, "train", window=1)


def test_a_film_goes_into_no_folder_and_no_file_that_is_a_link(run_folder, tmp_path, capsys):
    pytest.importorskip("imageio_ffmpeg", reason="needs fastars[video]")
    pytest.importorskip("pygame", reason="draws CartPole")
    (tmp_path / "elsewhere").mkdir()
    (run_folder / "videos").symlink_to(tmp_path / "elsewhere")
    assert main(["video", str(run_folder)]) == 2
    assert "videos: a symbolic link" in capsys.readouterr().err
    assert names_in(tmp_path / "elsewhere") == []
    (run_folder / "videos").unlink()
    (run_folder / "videos").mkdir()
    put("link", run_folder / "videos" / "best_model-seed-0.mp4", tmp_path / "victim")
    assert main(["video", str(run_folder), "--overwrite"]) == 0
    assert (tmp_path / "victim").read_bytes() == PRECIOUS
    assert names_in(run_folder / "videos") == ["best_model-seed-0.mp4"]
    assert not (run_folder / "videos" / "best_model-seed-0.mp4").is_symlink()


def test_an_import_writes_through_no_link(run_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arrays.write(trained(), tmp_path / "policy.npz")
    (tmp_path / "model.zip").symlink_to(tmp_path / "nothing")
    assert main(["import", "policy.npz"]) == 2
    assert "model.zip exists" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("follow", [True, False])
def test_a_link_is_followed_or_replaced(tmp_path, follow):
    put("link", tmp_path / "a", tmp_path / "victim")
    write_atomically(tmp_path / "a", [b"new"], follow=follow)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "a").is_symlink() == follow
    assert (tmp_path / "victim").read_bytes() == (b"new" if follow else PRECIOUS)

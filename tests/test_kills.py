"""Runs that are killed at any moment, and disks that fail: nothing is lost but the time since the last file.

Broken on purpose -> red: files written in place, without the rename; temporary files left after an error; an `OSError` not
caught in callbacks, or in the logger; half a row left in the log (`failing_disk`, `full_disk`). Rows of the log, or of
episodes, beyond the model not cut; temporary files not swept (`killed_at_random_moments_is`). The state of the weighting not
restored (`script_of_ones_own`, `saved_and_loaded`). No checkpoint after a signal; 130 for SIGTERM; a signal that cuts an
iteration in two (`stopped_by_signals`).
"""

import contextlib
import csv
import errno
import io
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_cli import COMMAND, ENVIRONMENT

from fastars import ARS, latest_checkpoint
from fastars.callbacks import CallbackList, CheckpointCallback, EvalCallback, EveryIteration
from fastars.files import atomic as _atomic
from fastars.files.checkpoint_names import checkpoints

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills processes")
HERE = Path(__file__).parent
PATH = ENVIRONMENT | {"PYTHONPATH": f"{HERE}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"}
OFTEN = ("--eval-episodes", "2", "--no-progress", "--monitor", "--save-freq", "1500", "--keep-checkpoints", "2", "--variant", "V2")
RUNS = {
    # The learning rate keeps episodes short: checkpoints are several iterations apart, and the log has rows that they lack.
    "compiled": ("CartPole-v1", "--eval-freq", "3000", "--n-delta", "4", "--learning-rate", "0.00001"),
    "python": ("broken_envs:Walk-v0", "--eval-freq", "3000", "--n-delta", "4", "--n-workers", "2"),
}
ITERATIONS = {"compiled": 80, "python": 60}  # of a run, for each time that it is stopped, at 4 ms or more within some 200 ms
# Iterations of 300 us would all be over between two looks from outside.
SLOW = (
    "import fastars, fastars.ars, time\ncommit = fastars.ars.ARS._commit\n"
    "def slow(self, *args, **kwargs):\n    commit(self, *args, **kwargs)\n    time.sleep(0.004)\nfastars.ars.ARS._commit = slow\n"
)


def train(folder, kind, n_stops=1):
    length = "--iterations", str(ITERATIONS[kind] * n_stops)
    return ["train", *RUNS[kind], *OFTEN, *length, "--seed", "5", "--n-threads", "1", "--run-folder", folder]


def resume(folder, kind):
    return ["resume", folder, "--no-progress", *(("--env", RUNS[kind][0]) if kind == "python" else ())]


def rows_of(path, clock):
    """The rows of a table, without what the clock says."""
    with open(path, newline="") as file:
        return [{key: row[key] for key in row if key not in clock} for row in csv.DictReader(file)]


def content(folder):
    """All that a run folder says of a run."""
    with np.load(folder / "evaluations.npz") as file:
        evaluations = {name: file[name].tolist() for name in file.files}
    monitor = (folder / "0.monitor.csv").read_text().splitlines()[1:]
    return {
        "model": (folder / "model.zip").read_bytes(),
        "best": (folder / "best_model.zip").read_bytes(),
        "evaluations": evaluations,
        "progress": rows_of(folder / "progress.csv", ("time/fps", "time/time_elapsed")),
        "episodes": [row["r"] + "," + row["l"] for row in csv.DictReader(io.StringIO("\n".join(monitor)))],
        "checkpoints": [path.name for _, path in checkpoints(folder)],
        "left": sorted(path.name for path in folder.iterdir() if path.name.startswith(".")),
    }


@pytest.mark.promise(2)
@pytest.mark.parametrize("kind", RUNS)
def test_a_run_killed_at_random_moments_is_the_one_never_stopped(tmp_path, tally, kind):
    n_kills, draw, killed, ahead, strays = tally.of(2, 20), random.Random(0), 0, 0, 0
    most = n_kills + 4  # until one has found rows that no file of the model had: they are cut, and come again
    whole = [*COMMAND, *train("whole", kind, most)]
    subprocess.run(whole, cwd=tmp_path, env=PATH, check=True, capture_output=True, timeout=300)
    folder = tmp_path / "run"
    while killed < n_kills or (ahead == 0 and killed < most):
        code, _ = stopped(tmp_path, train("run", kind, most), resume("run", kind), signal.SIGKILL, draw.uniform(0.0, 0.15))
        assert code == -signal.SIGKILL, killed
        killed += 1
        ahead += n_rows(folder) > iteration(folder, kind)
        strays += any(path.name.startswith(".fastars-") for path in folder.iterdir())
    subprocess.run([*COMMAND, *resume("run", kind)], cwd=tmp_path, env=PATH, check=True, capture_output=True, timeout=300)
    expected, found = content(tmp_path / "whole"), content(folder)
    for name, value in expected.items():
        assert found[name] == value, name
    assert ahead > 0
    tally(f"{kind}: runs killed and resumed to the bits of one never stopped", killed, of=killed)
    tally(f"{kind}: of these, killed with rows ahead of the model", ahead, of=killed)
    tally(f"{kind}: of these, killed while a file was written", strays, of=killed)


@pytest.mark.timing
@pytest.mark.promise(13)
@pytest.mark.parametrize("kind", RUNS)
def test_a_run_of_the_command_stopped_by_signals_says_so_and_loses_nothing(tmp_path, tally, limit, kind):
    n_signals, draw, slowest = tally.of(2, 15), random.Random(2), 0.0
    whole = [*COMMAND, *train("whole", kind, n_signals)]
    subprocess.run(whole, cwd=tmp_path, env=PATH, check=True, capture_output=True, timeout=300)
    for number in range(n_signals):
        sent, code = [(signal.SIGINT, 130), (signal.SIGTERM, 143)][number % 2]
        begin, go_on = train("run", kind, n_signals), resume("run", kind)
        found, seconds = stopped(tmp_path, begin, go_on, sent, draw.uniform(0.0, 0.15))
        assert found == code, number
        assert n_rows(tmp_path / "run") == iteration(tmp_path / "run", kind)  # the model has all that the log has
        slowest = max(slowest, seconds)
    assert slowest < limit(1.0)
    subprocess.run([*COMMAND, *resume("run", kind)], cwd=tmp_path, env=PATH, check=True, capture_output=True, timeout=300)
    assert content(tmp_path / "run") == content(tmp_path / "whole")
    tally(f"{kind}: signals to the command: checkpoint, exit code, no process left", n_signals, of=n_signals)
    tally(f"{kind}: slowest end of the command after a signal", round(slowest, 2), unit="s")


def stopped(tmp_path, begin, go_on, number, delay):
    """(exit code, seconds it took to end) of a run that begins or goes on, and gets a signal `delay` seconds after it trains."""
    (tmp_path / "slow").mkdir(exist_ok=True)
    (tmp_path / "slow" / "sitecustomize.py").write_text(SLOW)
    environment = PATH | {"PYTHONPATH": f"{tmp_path / 'slow'}{os.pathsep}{PATH['PYTHONPATH']}"}
    progress = tmp_path / "run" / "progress.csv"
    command = go_on if (tmp_path / "run" / "model.zip").exists() else begin
    with subprocess.Popen(
        [*COMMAND, *command], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        n_lines = wait_for(lambda: progress.exists() and progress.read_bytes().count(b"\n"), process)
        wait_for(lambda: progress.read_bytes().count(b"\n") > n_lines + 1, process)  # it trains
        time.sleep(delay)
        process.send_signal(number)
        start = time.monotonic()
        process.wait(60)
        seconds = time.monotonic() - start
    if number != signal.SIGKILL:
        with pytest.raises(ProcessLookupError):  # nothing of its group is left
            os.killpg(process.pid, 0)
    return process.returncode, seconds


def n_rows(folder):
    """Iterations in the log; an evaluation has a row of its own."""
    return sum(row["gradient/norm"] != "" for row in rows_of(folder / "progress.csv", ()))


def iteration(folder, kind):
    return ARS.load(folder / "model.zip", env="broken_envs:Walk-v0" if kind == "python" else None).iteration


def wait_for(condition, process):
    """Wait until `condition()` is true, and return its value."""
    deadline = time.monotonic() + 120
    while not (value := condition()):
        assert process.poll() is None, process.returncode
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return value


SCRIPT = """if True:
    import sys
    from fastars import ARS, latest_checkpoint
    from fastars.callbacks import CheckpointCallback
    try:
        model = ARS.load(latest_checkpoint("checkpoints"))
    except FileNotFoundError:
        settings = dict(weighting="gradnorm", optimizer="adam", variant="V2", n_delta=8, n_threads=1, seed=3)
        model = ARS("LinearPolicy", "mo-mountaincar-v0", **settings)
    print("ready", flush=True)
    keeper = CheckpointCallback(20_000, "checkpoints", keep_checkpoints=3)
    model.learn(int(sys.argv[1]) - model.num_timesteps, keeper, reset_num_timesteps=False)
    model.save("final.zip")
    print("done", flush=True)
"""


@pytest.mark.promise(2)
def test_a_script_of_ones_own_killed_at_random_moments_ends_with_the_bits_of_one_never_stopped(tmp_path, tally):
    n_kills, draw, n_done = tally.of(2, 20), random.Random(1), 0
    n_steps = str(500_000 * n_kills)
    for name in ("whole", "killed"):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
    command = [sys.executable, "-c", SCRIPT, n_steps]
    subprocess.run(command, cwd=tmp_path / "whole", env=PATH, check=True, capture_output=True, timeout=300)
    begun = []
    for _ in range(n_kills):
        with subprocess.Popen(command, cwd=tmp_path / "killed", env=PATH, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            before = newest(tmp_path / "killed")
            wait_for(lambda before=before: newest(tmp_path / "killed") > before, process)
            time.sleep(draw.uniform(0.0, 0.05))
            process.kill()
            n_done += "done" in process.stdout.read()
        begun.append(before)
    assert n_done == 0  # each was killed while it trained
    assert begun == sorted(set(begun))  # and went on from where the one before was
    subprocess.run(command, cwd=tmp_path / "killed", env=PATH, check=True, capture_output=True, timeout=300)
    assert (tmp_path / "killed" / "final.zip").read_bytes() == (tmp_path / "whole" / "final.zip").read_bytes()
    tally("GradNorm and Adam in a script: killed, and ended with the bits of one never stopped", n_kills, of=n_kills)


def newest(folder):
    """Steps of the newest checkpoint; 0 if there is none."""
    return max((steps for steps, _ in checkpoints(folder / "checkpoints")), default=0)


@pytest.mark.promise(3)
@pytest.mark.parametrize(
    ("env", "settings"),
    [
        ("Pendulum-v1", {"variant": "V2-t", "n_top": 3, "optimizer": "adam", "stats_window_size": 5}),
        ("CartPole-v1", {"policy": "MlpPolicy", "policy_kwargs": {"net_arch": [8]}, "momentum": 0.9}),
        ("mo-mountaincar-v0", {"weighting": "gradnorm"}),
        ("mo-mountaincar-v0", {"weighting": "famo"}),
        ("mo-mountaincar-v0", {"weighting": "dwa"}),
        ("mo-mountaincar-v0", {"weighting": "random"}),
    ],
    ids=["adam", "mlp", "gradnorm", "famo", "dwa", "random"],
)
def test_a_run_saved_and_loaded_at_every_iteration_has_the_same_file(request, tmp_path, tally, env, settings):
    n_iterations = tally.of(5, 60)
    whole = ARS(**{"policy": "LinearPolicy", "env": env, "n_delta": 4, "seed": 3, **settings})
    parts = ARS(**{"policy": "LinearPolicy", "env": env, "n_delta": 4, "seed": 3, **settings})
    for iteration in range(n_iterations):
        for name, model in (("whole", whole), ("parts", parts)):
            model.learn(1, reset_num_timesteps=False)
            model.save(tmp_path / f"{name}.zip")
        assert (tmp_path / "parts.zip").read_bytes() == (tmp_path / "whole.zip").read_bytes(), iteration
        parts = ARS.load(tmp_path / "parts.zip")
    tally(f"{env}, {request.node.callspec.id}: files equal to those of a run never loaded", n_iterations, of=n_iterations)


# --- Disks that fail


def failing(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextlib.contextmanager
def readable_only(folder):
    folder.chmod(0o500)
    try:
        yield
    finally:
        folder.chmod(0o700)


FAULTS = {
    "fsync": lambda patch, _: patch.setattr(_atomic.os, "fsync", failing),
    "replace": lambda patch, _: patch.setattr(_atomic.os, "replace", failing),
    "write": lambda patch, _: patch.setattr(_atomic, "open", lambda *_: open("/dev/full", "r+b"), raising=False),  # noqa: SIM115
}


@pytest.mark.promise(4)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_disk_loses_no_file_and_no_run(tmp_path, tally, monkeypatch, fault):
    """In `learn` with callbacks: training goes on, each lost file is warned of once, and the files before are whole."""
    model = ARS("LinearPolicy", "CartPole-v1", seed=0, n_delta=4)
    keeper = CheckpointCallback(1, tmp_path / "checkpoints")
    judge = EvalCallback(None, eval_freq=1, best_model_save_path=tmp_path, log_path=tmp_path, n_eval_episodes=2, verbose=0)
    both = EveryIteration(CallbackList([keeper, judge]))
    model.learn(1, both)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    n_open, n_iterations = len(os.listdir("/dev/fd")), tally.of(4, 50)
    judge.best_mean_reward = -np.inf
    with monkeypatch.context() as patch:
        FAULTS[fault](patch, tmp_path)
        for iteration in range(n_iterations):
            judge.best_mean_reward = -np.inf  # so that there is something to save
            with pytest.warns(RuntimeWarning, match="could not be saved, training goes on") as told:
                model.learn(1, both, reset_num_timesteps=False)
            assert len(told) == 3, iteration  # the checkpoint, the evaluations, the best model
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before
    assert len(os.listdir("/dev/fd")) == n_open
    model.learn(1, both, reset_num_timesteps=False)  # there is room again
    assert ARS.load(latest_checkpoint(tmp_path / "checkpoints")).num_timesteps == model.num_timesteps
    whole = ARS("LinearPolicy", "CartPole-v1", seed=0, n_delta=4)
    for _ in range(n_iterations + 2):
        whole.learn(1, reset_num_timesteps=False)
    np.testing.assert_array_equal(model.theta, whole.theta)
    tally(f"{fault} fails: files lost, each warned of once", 3 * n_iterations, of=3 * n_iterations)
    tally(f"{fault} fails: descriptors and temporary files left", 0)


FULL_DISK = """if True:
    import resource, signal, sys
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
    from fastars.cli import main
    sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.promise(4)
@pytest.mark.parametrize("room", [3_000, 9_000])
def test_a_run_of_the_command_on_a_full_disk_goes_on_and_says_so(tmp_path, tally, room):
    """No file may grow beyond some bytes: at first no model fits, later no more rows of the log."""
    arguments = train("run", "compiled")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(room), *arguments],
        cwd=tmp_path,
        env=PATH,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if room < 5_000:  # not even the first model.zip: there is nothing yet that could be lost
        assert done.returncode == 1
        assert "File too large" in done.stderr
        assert list((tmp_path / "run").glob("*.zip")) == []
    else:
        assert done.returncode == 0, done.stderr
        assert "of progress.csv" in done.stderr or "rows of" in done.stderr
        subprocess.run(
            [*COMMAND, *train("whole", "compiled")], cwd=tmp_path, env=PATH, check=True, capture_output=True, timeout=300
        )
        for name in ("model.zip", "best_model.zip"):
            assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
        progress = (tmp_path / "run" / "progress.csv").read_bytes()
        assert (tmp_path / "whole" / "progress.csv").read_bytes().count(b"\n") > progress.count(b"\n") > 10
        assert progress.endswith(b"\n")
    assert not list((tmp_path / "run").glob(".fastars-*"))
    tally(f"files of at most {room:,} bytes: a run of the command that ends as it should", 1, of=1)

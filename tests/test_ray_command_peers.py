"""`fastars train --ray` and `resume --ray`, stopped in every way, on a cluster of this machine.

Broken on purpose -> red: the best policy of a resumed run waiting for actors of its own (`wherever_its_parts_ran`); SIGTERM left
to Ray (`stopped_by_a_signal`); an address left to Ray, which tries for minutes (`wrong_address`).
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time

import pytest
from test_cli import COMMAND, ENVIRONMENT
from test_kills import content, n_rows, rows_of, wait_for

from fastars import ARS

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "fastars[ray]"')
from ray_clusters import IGNORED, LOOPBACK, TOKEN, actors, cluster  # noqa: E402

pytestmark = [pytest.mark.timeout(600), pytest.mark.filterwarnings(*IGNORED)]
SHELL = ENVIRONMENT | TOKEN  # of a command
RUN = (
    "--n-delta",
    "4",
    "--variant",
    "V2",
    "--eval-freq",
    "20000",
    "--eval-episodes",
    "2",
    "--monitor",
    "--no-progress",
    "--seed",
    "5",
)


@pytest.fixture(scope="module")
def two_cpus():
    with cluster(2) as made:
        yield made


def run(tmp_path, *arguments):
    done = subprocess.run([*COMMAND, *arguments], cwd=tmp_path, env=SHELL, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def train(folder, iterations, *more):
    return ["train", "HalfCheetah-v5", *RUN, "--iterations", str(iterations), "--run-folder", folder, *more]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The content of a local run of 6 iterations."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder, *train("run", 6))
    return content(folder / "run")


def test_the_run_folder_is_that_of_a_local_run_wherever_its_parts_ran(two_cpus, tmp_path, whole):
    address = two_cpus.address
    told = run(tmp_path, *train("there", 6, "--ray", address, "--n-workers", "2"))
    assert "on Ray, in 2 actors of 1 CPU" in told
    assert content(tmp_path / "there") == whole
    run(tmp_path, *train("a", 3, "--ray", address))
    run(tmp_path, "resume", "a", "--no-progress", "--iterations", "6")
    run(tmp_path, *train("b", 3))
    run(tmp_path, "resume", "b", "--no-progress", "--iterations", "6", "--ray", address)
    assert without_evaluations(content(tmp_path / "a")) == without_evaluations(content(tmp_path / "b"))
    assert content(tmp_path / "a")["model"] == whole["model"]


def test_several_seeds_run_there(two_cpus, tmp_path, whole):
    told = run(tmp_path, *train("all", 6, "--seeds", "2", "--ray", two_cpus.address, "--n-workers", "2"))
    assert "seeds 5, 6" in told
    assert content(tmp_path / "all" / "seed_5") == whole


def without_evaluations(found):
    """The first part ends with an evaluation that a run of six iterations has not."""
    return {name: value for name, value in found.items() if name not in ("evaluations", "progress", "best")}


def begun(address, folder, *command):
    """A process that trains on Ray, as soon as its log has two more rows."""
    progress = folder / "progress.csv"
    process = subprocess.Popen([*COMMAND, *command, "--ray", address], cwd=folder.parent, env=SHELL, stdout=subprocess.DEVNULL)
    before = len(rows_of(progress, ())) if progress.exists() else 0
    wait_for(lambda: progress.exists() and len(rows_of(progress, ())) > before + 1, process)
    return process


def all_gone(seconds):
    """Return True if no actor is left after so many seconds."""
    deadline = time.monotonic() + seconds
    while actors() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not actors()


@pytest.mark.timing
@pytest.mark.promise(13)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_a_run_on_ray_that_is_stopped_by_a_signal_is_saved_and_leaves_no_actor(two_cpus, tmp_path, tally, number, code):
    process = begun(two_cpus.address, tmp_path / "run", *train("run", 10_000))
    process.send_signal(number)
    start = time.monotonic()
    assert process.wait(60) == code
    seconds = time.monotonic() - start
    assert seconds < (2.0 if tally.is_full else 10.0)  # Ray takes 1 s to leave, on a busy machine 3
    assert all_gone(10.0)
    assert ARS.load(tmp_path / "run" / "model.zip").iteration == n_rows(tmp_path / "run")
    tally(f"on Ray: slowest end of the command after {signal.Signals(number).name}", round(seconds, 2), unit="s")


@pytest.mark.promise(12)
def test_a_run_whose_driver_is_killed_goes_on_to_the_same_bits(two_cpus, tmp_path, tally, whole):
    n_kills = tally.of(1, 5)
    folder = tmp_path / "run"
    for kill in range(n_kills):
        length = ["--iterations", "10000"] if kill else []
        process = begun(two_cpus.address, folder, *(["resume", "run", "--no-progress", *length] if kill else train("run", 10_000)))
        process.kill()
        process.wait()
        assert all_gone(10.0)
    n = ARS.load(folder / "model.zip").iteration + 3
    run(tmp_path, "resume", "run", "--no-progress", "--iterations", str(n), "--ray", two_cpus.address)
    local = ARS.load(folder / "model.zip")
    assert local.iteration == n
    run(tmp_path, *train("local", n))
    assert content(folder) == content(tmp_path / "local")
    tally("drivers killed, the run goes on to the bits of a local one", n_kills, of=n_kills)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (["127.0.0.1:1"], "no Ray cluster answers at 127.0.0.1:1"),
        (["ray://127.0.0.1:10001"], "--ray takes auto or HOST:PORT, got ray://127.0.0.1:10001"),
        (["nowhere"], "the address of a Ray cluster must be auto or HOST:PORT, got nowhere"),
        (["127.0.0.1:1", "127.0.0.1:2"], "--ray takes one address"),
    ],
)
def test_a_wrong_address_is_wrong_use_and_said_soon(tmp_path, address, message):
    command = [*COMMAND, *train("run", 1, "--ray", *address)]
    done = subprocess.run(command, cwd=tmp_path, env=SHELL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert message in done.stderr
    assert not os.listdir(tmp_path)


@pytest.fixture
def guarded():
    """The address of a cluster that asks for a token, and what a process that has it must have in its environment."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=1", "--include-dashboard=false"]
    process = subprocess.Popen(
        [*start, f"--node-ip-address={LOOPBACK}", f"--port={port}"], env={**SHELL, **token}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert any("Ray runtime started" in line for line in process.stdout)
        yield f"{LOOPBACK}:{port}", token
    finally:
        process.terminate()  # it ends the processes that it started
        process.communicate()


def train_there(address, shown, folder):
    """The finished command of a process that shows this."""
    command = [*COMMAND, "train", "CartPole-v1", "--no-progress", "--iterations", "1", "--ray", address]
    return subprocess.run(command, cwd=folder, env={**SHELL, **shown}, capture_output=True, text=True, timeout=200)


def test_a_cluster_that_asks_for_a_token_takes_those_that_have_it(guarded, tmp_path):
    done = train_there(*guarded, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow  # Ray tries for 20 s before it says no
@pytest.mark.parametrize(
    "shown", [{"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}, {"RAY_AUTH_MODE": "disabled"}]
)
def test_a_cluster_that_asks_for_a_token_refuses_others_with_the_reason(guarded, tmp_path, shown):
    done = train_there(guarded[0], shown, tmp_path)
    assert done.returncode == 2, done.stderr
    assert "one that asks for a token takes no other" in done.stderr

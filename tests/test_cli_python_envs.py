"""The command on environments that are stepped in Python, and with policies that have hidden layers."""

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from test_cli import COMMAND, ENVIRONMENT, run

from fastars import ARS

MODULES = {"PYTHONPATH": f"{Path(__file__).parent}:{ENVIRONMENT['PYTHONPATH']}"}


def test_an_environment_of_a_module_trains_and_is_replayed(tmp_path):
    options = ("--total-timesteps", "3000", "--n-workers", "2", "--eval-episodes", "5", "--seed", "1", "--run-folder", "walk")
    trained = run("train", "broken_envs:Walk-v0", *options, cwd=tmp_path, **MODULES)
    assert trained.returncode == 0, trained.stderr
    assert trained.stderr == ""
    assert re.search(r"rollouts +in Python \(.*'Walk-v0' is a Gymnasium environment, but not a compiled one", trained.stdout)
    assert "in each of 2 worker processes, for at most 10,000 steps as it has no time limit" in trained.stdout
    assert "fastars eval walk --env broken_envs:Walk-v0" in trained.stdout
    replayed = run("eval", "walk", "--env", "broken_envs:Walk-v0", "--n-eval-episodes", "5", cwd=tmp_path, **MODULES)
    mean = re.search(r"return (\S+), std", replayed.stdout).group(1)
    best = re.search(r"best +\S+ +(\S+)", trained.stdout).group(1)
    assert f"{float(mean):.1f}" == best


def test_a_model_of_an_unknown_environment_says_how_to_name_it(tmp_path):
    run("train", "broken_envs:Walk-v0", "--total-timesteps", "100", "--run-folder", "walk", cwd=tmp_path, **MODULES)
    result = run("eval", "walk", cwd=tmp_path, **MODULES)
    assert result.returncode != 0
    assert "its environment 'Walk-v0' can't be made: it is not registered here" in result.stderr


def test_failures_are_on_the_terminal_and_in_the_run_folder(tmp_path):
    options = ("--total-timesteps", "600", "--eval-episodes", "6", "--seed", "1", "--run-folder", "bad")
    result = run("train", "broken_envs:Raises-v0", *options, cwd=tmp_path, **MODULES)
    assert result.returncode == 0
    assert "the floor gave way" in result.stderr
    assert "python -m fastars.replay bad/failures/failure_0.zip broken_envs:Raises-v0" in result.stderr
    assert list((tmp_path / "bad" / "failures").glob("failure_*.zip"))
    assert "without 6 in which the environment failed" in result.stdout  # 3 odd seeds of 6, for each of two policies
    assert re.search(r"last +\d+ +-\d", result.stdout)  # the mean of the others


def test_arguments_reach_an_environment_that_is_not_compiled(tmp_path):
    options = ("--env-kwargs", "is_slippery=False", "--total-timesteps", "500", "--eval-episodes", "2", "--run-folder", "lake")
    result = run("train", "FrozenLake-v1", *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "FrozenLake-v1 with is_slippery=False" in result.stdout
    assert "is_slippery = false" in (tmp_path / "lake" / "config.toml").read_text()


def test_the_replay_that_a_run_suggests_is_in_its_own_environment(tmp_path):
    """Its arguments have to be repeated: none is taken from a file."""
    kwargs = ("--env-kwargs", "is_slippery=False", "max_episode_steps=7")
    options = ("--total-timesteps", "300", "--eval-episodes", "4", "--seed", "1", "--run-folder", "lake")
    trained = run("train", "FrozenLake-v1", *kwargs, *options, cwd=tmp_path)
    (command,) = re.findall(r"fastars (eval .*\S)", trained.stdout)
    assert command == "eval lake --env FrozenLake-v1 --env-kwargs is_slippery=False max_episode_steps=7"
    replayed = run(*command.split(), "--n-eval-episodes", "4", cwd=tmp_path)
    assert "FrozenLake-v1 with is_slippery=False, max_episode_steps=7: return" in replayed.stdout, replayed.stderr
    refused = run("eval", "lake", cwd=tmp_path)
    assert "it was made with is_slippery=False" in refused.stderr
    other = " ".join(run("eval", "lake", "--env", "FrozenLake-v1", cwd=tmp_path).stderr.split())
    with_them = "is of FrozenLake-v1 with is_slippery=False, max_episode_steps=7"
    assert f"lake/model.zip {with_them}, and --env alone is without: add --env-kwargs" in other.replace("best_model", "model")
    assert "--env-kwargs needs --env" in run("eval", "lake", *kwargs, cwd=tmp_path).stderr


def test_a_run_goes_on_with_the_arguments_of_its_environment_or_not_at_all(tmp_path):
    """Without them it went on in another task, and said nothing."""
    kwargs = ("--env-kwargs", "is_slippery=False", "max_episode_steps=7")
    assert run("train", "FrozenLake-v1", *kwargs, "--total-timesteps", "300", "--run-folder", "lake", cwd=tmp_path).returncode == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "lake").iterdir() if path.is_file()}
    resume = ("resume", "lake", "--total-timesteps", "600", "--env", "FrozenLake-v1")
    refused = run(*resume, cwd=tmp_path)
    assert refused.returncode == 2
    assert "was made with is_slippery=False, max_episode_steps=7" in " ".join(refused.stderr.split())
    assert "add --env-kwargs" in " ".join(refused.stderr.split())
    assert {path.name: path.read_bytes() for path in (tmp_path / "lake").iterdir() if path.is_file()} == before
    assert run(*resume, *kwargs, cwd=tmp_path).returncode == 0


def test_a_network_is_asked_for_by_its_layers(tmp_path):
    network = ("--policy", "MlpPolicy", "--net-arch", "4", "3", "--activation-fn", "tanh", "--squash-output", "False")
    result = run("train", "CartPole-v1", *network, "--total-timesteps", "500", "--run-folder", "mlp", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    config = ARS.load(tmp_path / "mlp" / "model.zip").config
    assert (config.policy, config.net_arch, config.activation_fn, config.squash_output) == ("MlpPolicy", (4, 3), "tanh", False)


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
def test_ctrl_c_leaves_no_worker_behind(tmp_path):
    options = ("--total-timesteps", "1000000000", "--n-workers", "2", "--run-folder", "long")
    process = subprocess.Popen(
        [*COMMAND, "train", "broken_envs:Walk-v0", *options], cwd=tmp_path, env=ENVIRONMENT | MODULES, stderr=subprocess.DEVNULL
    )
    log = tmp_path / "long" / "progress.csv"
    try:
        wait_until(lambda: log.exists() and log.read_bytes().count(b"\n") > 3)
        assert len(workers_of(process.pid)) == 2
        workers = workers_of(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), 5)
    finally:
        process.kill()
        process.wait()
    assert (tmp_path / "long" / "model.zip").exists()


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def workers_of(pid):
    """Processes that `pid` started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

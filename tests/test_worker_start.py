"""Worker processes that start with the model: nobody waits for them, and nothing is left of them, whatever comes then.

Broken on purpose: `Pool.start` waits -> test_a_model_waits_for_none red; no start in the constructor -> test_workers_start_with;
the order sent over the connection -> test_a_sampler_waits_for_nobody; a start before the arguments are checked ->
test_a_constructor_that_fails; `close` patient with what still imports -> test_what_still_imports; processes not ended ->
test_a_model_that_goes and nine more; forks not refused in `wait` -> test_a_fork; "broken" not heard ->
test_an_environment_that_workers_cannot_make; nothing started by `AsyncEval`, no waiting in its `seed` -> test_async_eval;
n_workers not restored -> test_processes_that_cannot_be_had.
"""

import gc
import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import faulty_envs
import numpy as np
import pytest

from fastars import ARS, AsyncEval, WorkerError
from fastars._compiled.structs import LinearPolicy
from fastars.envs import UnsupportedEnvError, environment
from fastars.samplers import pool, process
from fastars.samplers.gym import GymSampler

TESTS = Path(__file__).parent
ARGUMENTS = {"n_delta": 2, "seed": 0, "max_episode_steps": 20}
pytestmark = pytest.mark.skipif(os.name != "posix", reason="worker processes need POSIX")


def made_here(folder, owner, in_worker):
    """An environment; a process other than `owner` leaves its id in the folder, and does something before."""
    if os.getpid() != owner:
        (folder / str(os.getpid())).touch()
        in_worker(folder)
    return faulty_envs.Line()


def waits(folder):
    deadline = time.monotonic() + 20
    while not (folder / "go").exists() and time.monotonic() < deadline:
        time.sleep(0.005)


def breaks(folder):
    raise RuntimeError("the door is locked")


def maker(folder, in_worker):
    return partial(made_here, folder, os.getpid(), in_worker)


def workers(model):
    return model.sampler._runner._workers


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def is_alive(pid):
    """Return True if a process runs: a dead one that nobody waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_start_with_the_model(tmp_path):
    model = ARS("LinearPolicy", maker(tmp_path, lambda folder: None), n_workers=2, **ARGUMENTS)
    started = [worker.process.pid for worker in workers(model)]
    assert len(started) == 2
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    model.learn(1)
    assert [worker.process.pid for worker in workers(model)] == started
    model.close()
    one = ARS("LinearPolicy", faulty_envs.Line, **ARGUMENTS).learn(1)
    np.testing.assert_array_equal(model.theta, one.theta)


def test_a_model_waits_for_none_of_its_workers(tmp_path):
    model = ARS("LinearPolicy", maker(tmp_path, waits), n_workers=2, **ARGUMENTS)  # returns, though they wait
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    assert not any(worker.is_ready for worker in workers(model))
    (tmp_path / "go").touch()
    assert model.learn(1).num_timesteps > 0
    model.close()


def test_a_sampler_waits_for_nobody_who_reads_its_order(monkeypatch):
    monkeypatch.setattr(process, "_BOOTSTRAP", "import time; time.sleep(20)")
    env = faulty_envs.Line()
    env.much = np.zeros(1 << 20)  # 8 MB, more than a connection holds
    found = environment(env, compiled=False)
    sampler = GymSampler(found, found.rollout_spec(LinearPolicy()), 2)
    sampler.start()
    pids = [worker.process.pid for worker in sampler._runner._workers]
    assert all(map(is_alive, pids))
    sampler.close()
    assert not any(map(is_alive, pids))


def test_what_still_imports_is_ended_at_once(monkeypatch):
    monkeypatch.setattr(process, "_BOOTSTRAP", "import time; time.sleep(20)")
    monkeypatch.setattr(pool, "_CLOSE_SECONDS", 50.0)
    model = ARS("LinearPolicy", faulty_envs.Line, n_workers=2, **ARGUMENTS)
    processes = [worker.process for worker in workers(model)]
    model.close()
    assert len(processes) == 2
    assert all(process.returncode < 0 for process in processes)  # ended by a signal; those that are waited for end with 0


@pytest.mark.parametrize("way", ["close", "collected"])
def test_a_model_that_goes_before_its_workers_are_ready_leaves_none(way, tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "_CLOSE_SECONDS", 0.2)
    model = ARS("LinearPolicy", maker(tmp_path, waits), n_workers=2, **ARGUMENTS)
    pids = [worker.process.pid for worker in workers(model)]
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    assert all(map(is_alive, pids))
    if way == "close":
        model.close()
    else:
        del model
        gc.collect()
    assert not any(map(is_alive, pids))


def test_an_environment_that_workers_cannot_make_is_one_error_at_the_first_use(tmp_path):
    model = ARS("LinearPolicy", maker(tmp_path, breaks), n_workers=2, **ARGUMENTS)
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    for _ in range(2):
        with pytest.raises(WorkerError, match=r"(?s)could not make its environment:.*the door is locked"):
            model.learn(1)
        assert (model.num_timesteps, model.iteration) == (0, 0)
    model.close()


def test_a_fork_leaves_workers_that_start_to_its_parent(tmp_path):
    model = ARS("LinearPolicy", maker(tmp_path, waits), n_workers=2, **ARGUMENTS)
    pids = [worker.process.pid for worker in workers(model)]
    child = os.fork()
    if child == 0:
        refused = 0
        for use in (model.sampler.start, partial(model.sampler.start, wait=True), partial(model.learn, 1)):
            try:
                use()
            except WorkerError as error:
                refused += "of which this one is a fork" in str(error)
        model.close()
        os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert all(map(is_alive, pids))
    (tmp_path / "go").touch()
    model.learn(1)
    assert [worker.process.pid for worker in workers(model)] == pids
    model.close()


def test_a_worker_killed_before_it_is_ready_is_replaced(tmp_path):
    model = ARS("LinearPolicy", maker(tmp_path, waits), n_workers=2, **ARGUMENTS)
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    for worker in workers(model):
        worker.process.kill()
        worker.process.wait()
    (tmp_path / "go").touch()
    assert model.learn(1).worker_restarts == 2
    model.close()


def test_a_constructor_that_fails_starts_nothing(monkeypatch):
    started = []
    monkeypatch.setattr(pool, "WorkerProcess", started.append)
    with pytest.raises(ValueError, match="noise_size must be at least"):
        ARS("LinearPolicy", faulty_envs.Line, n_workers=2, noise_size=1, **ARGUMENTS)
    assert not started


def test_a_look_at_a_file_starts_nothing(tmp_path, monkeypatch):
    model = ARS("LinearPolicy", faulty_envs.Line, n_workers=2, **ARGUMENTS)
    model.save(tmp_path / "model.zip")
    model.close()
    monkeypatch.setattr(pool, "WorkerProcess", None)
    assert ARS.load(tmp_path / "model.zip", env=faulty_envs.Line()).n_workers == 1


def test_async_eval_starts_the_workers_of_its_model(tmp_path):
    model = ARS("LinearPolicy", maker(tmp_path, lambda folder: None), **ARGUMENTS)
    workers_of = AsyncEval([None, None], model.policy)
    pids = [worker.process.pid for worker in workers(model)]
    assert len(pids) == model.n_workers == 2
    assert workers_of.seed(0) == [None, None]
    assert all(worker.is_ready for worker in workers(model))
    model.learn(1, async_eval=workers_of)
    assert [worker.process.pid for worker in workers(model)] == pids
    model.close()


def test_async_eval_says_when_a_worker_cannot_make_its_environment(tmp_path):
    model = ARS("LinearPolicy", maker(tmp_path, breaks), **ARGUMENTS)
    with pytest.raises(WorkerError, match="the door is locked"):
        AsyncEval([None, None], model.policy).seed(0)
    model.close()


def test_processes_that_cannot_be_had_change_nothing():
    env = faulty_envs.Line()
    env.lock = threading.Lock()
    model = ARS("LinearPolicy", env, **ARGUMENTS)
    sampler = model.sampler
    with pytest.raises(UnsupportedEnvError, match="can't be copied for worker processes"):
        AsyncEval([None, None], model.policy)
    assert (model.n_workers, model.sampler) == (1, sampler)
    assert model.learn(1).num_timesteps > 0


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import faulty_envs
from fastars import ARS
model = ARS("LinearPolicy", faulty_envs.Line, n_workers=2, n_delta=2, seed=0)
print(*[worker.process.pid for worker in model.sampler._runner._workers])
"""


def test_a_script_that_ends_at_once_leaves_nothing():
    command = [sys.executable, "-c", SCRIPT.format(tests=str(TESTS))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    pids = list(map(int, done.stdout.split()))
    assert len(pids) == 2
    assert done.stderr == ""
    assert not any(map(is_alive, pids))

"""Episodes that end their process, or raise what is no `Exception`: failures like any other, wherever they run.

Broken on purpose: a kill from outside blames nobody -> test_what_ends_its_process red; `except Exception` around the calls of an
environment -> test_what_is_no_exception red; the exception of a handler taken for the environment's ->
test_the_exception_of_a_handler red; given up after one end alone -> test_somebody_else red; the group of a killed worker left alone
-> test_no_child red; the connection of a lost worker left open -> test_deaths_leave_nothing red; SystemExit passed on ->
test_a_replay and test_an_evaluation red; the connection left open in a fork of a worker -> test_a_fork_of_a_worker red.
"""

import logging
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import faulty_envs
import numpy as np
import pytest

from fastars import ARS, evaluate_policy
from fastars._compiled.structs import LinearPolicy, identity_filter
from fastars.envs import environment
from fastars.samplers.gym import GymSampler
from fastars.samplers.process import WorkerProcess

TESTS = Path(__file__).parent
SEED = 1  # of runs with a failing episode in each of the first two iterations
pytestmark = pytest.mark.skipif(os.name != "posix", reason="worker processes need POSIX")

RAISE = [
    faulty_envs.raises_keyboard_interrupt,
    faulty_envs.exits,
    faulty_envs.raises_generator_exit,
    faulty_envs.raises_odd,
    faulty_envs.recurses,
]
END = [faulty_envs.is_killed, faulty_envs.leaves_from_a_thread]  # the others are in test_gym_faults.py


def trained(fault, where="step", n_workers=1):
    """(weights, mean of the filter, counters without restarts) after two iterations in which some episodes fail."""
    model = ARS("LinearPolicy", partial(faulty_envs.Seldom, fault, where), seed=SEED, n_delta=6, n_workers=n_workers, variant="V2")
    for _ in range(2):
        model.learn(1, reset_num_timesteps=False)
    model.close()
    counters = model.state.counters._replace(worker_restarts=0)
    assert counters.env_failures == 2 * counters.dropped_pairs > 0
    return model.theta.tolist(), model.policy.filter.mean.tolist(), counters


@pytest.fixture(scope="module")
def expected():
    """The run in which the same episodes fail by an ordinary error, in this process."""
    return trained(faulty_envs.raises)


@pytest.mark.promise(9)
@pytest.mark.parametrize("where", ["step", "reset"])
@pytest.mark.parametrize("fault", RAISE, ids=lambda fault: fault.__name__)
def test_what_is_no_exception_is_a_failure_of_its_episode(fault, where, expected, tally):
    assert trained(fault, where) == expected
    tally(f"run that went on as if the errors were ordinary, {fault.__name__} in {where}", 1, of=1)


@pytest.mark.promise(9)
@pytest.mark.parametrize("fault", [*RAISE[:2], *END], ids=lambda fault: fault.__name__)
def test_what_ends_its_process_ends_no_run_and_gives_the_same_everywhere(fault, expected, tally):
    numbers = (2, 4, 1)[: tally.of(2 if fault is faulty_envs.is_killed else 1, 3)]
    for n_workers in numbers:
        if n_workers > 1 or fault in RAISE:
            assert trained(fault, "step" if n_workers == 2 else "reset", n_workers) == expected
    tally(f"numbers of workers with the same run, {fault.__name__}", len(numbers), of=len(numbers))


@pytest.mark.promise(9)
def test_an_episode_that_kills_is_named_with_its_seed_and_a_command(caplog, tmp_path):
    env = partial(faulty_envs.Seldom, faulty_envs.is_killed)
    model = ARS("LinearPolicy", env, seed=SEED, n_delta=6, n_workers=2)
    with caplog.at_level(logging.WARNING, logger="fastars"):
        model.learn(1)
    model.close()
    seeds = {int(seed) for record in caplog.records for seed in [record.getMessage().split("seed ")[1].split()[0]]}
    assert seeds
    assert all(seed % 17 == 0 for seed in seeds)
    for record in caplog.records:
        assert "python -m fastars.replay" in record.getMessage()
        assert "its worker process ended (SIGKILL)" in record.getMessage()


def test_an_evaluation_goes_on_too():
    model = ARS("LinearPolicy", partial(faulty_envs.Seldom, faulty_envs.is_killed), seed=SEED, n_delta=6, n_workers=2)
    rollouts = model.evaluate(8, seed=10)
    model.close()
    assert np.flatnonzero(np.isnan(rollouts.returns)).tolist() == [7]


# --- Whose exception it is


class Signalled(BaseException):
    """The exception that a handler raises."""


class LateError(Exception):
    """The exception of another handler: `except Exception` catches it."""


def sends(result):
    signal.raise_signal(signal.SIGUSR1)


def sends_and_exits(result):
    try:
        signal.raise_signal(signal.SIGUSR1)
    except BaseException:
        sys.exit(3)


@pytest.mark.parametrize("error", [Signalled, LateError, KeyboardInterrupt])
@pytest.mark.parametrize("fault", [sends, sends_and_exits], ids=lambda fault: fault.__name__)
def test_the_exception_of_a_handler_is_no_failure(fault, error):
    def handle(number, frame):
        raise error

    if (fault, error) == (sends_and_exits, LateError):
        pytest.skip("who catches an Exception and exits does so himself")
    model = ARS("LinearPolicy", partial(faulty_envs.Seldom, fault), seed=SEED, n_delta=6)
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with pytest.raises(error):
            model.learn(1000)
        assert signal.getsignal(signal.SIGUSR1) is handle
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert model.env_failures == 0


# --- Healthy episodes, and what is left behind


def rollouts_of(sampler, n):
    return sampler.evaluate(np.zeros((n, 2)), identity_filter(2), np.arange(n, dtype=np.uint64), False, None, lambda failure: None)


def sampler_of(env, n_workers, **settings):
    found = environment(env, compiled=False)
    return GymSampler(found, found.rollout_spec(LinearPolicy()), n_workers, **settings)


def test_somebody_else_who_kills_a_worker_twice_fails_no_episode(monkeypatch):
    """Once with other episodes, and once while the episode has a process of its own."""
    kills, give = [], WorkerProcess.give

    def given(worker, episodes, batch, alone=False):
        give(worker, episodes, batch, alone)
        if len(kills) < 2 and (alone or not kills):
            while worker.current_episode() is None:
                pass
            kills.append(alone)
            worker.process.kill()

    monkeypatch.setattr(WorkerProcess, "give", given)
    sampler = sampler_of(faulty_envs.Slow, 2, envs_per_worker=4)
    rollouts = rollouts_of(sampler, 12)
    sampler.close()
    assert kills == [False, True]
    assert (rollouts.n_failures, rollouts.n_restarts) == (0, 2)
    assert np.isfinite(rollouts.returns).all()


def test_no_child_of_a_killed_worker_is_left():
    def children():
        return [path for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists() and b"987654" in read(path)]

    def read(path):
        try:
            return path.read_bytes()
        except OSError:
            return b""

    sampler = sampler_of(faulty_envs.make(faulty_envs.leaves_a_child_and_is_killed), 2)
    rollouts = rollouts_of(sampler, 4)
    sampler.close()
    assert rollouts.n_failures == 2
    assert children() == []


def test_a_fork_of_a_worker_that_goes_on_does_not_answer_for_it():
    def returns(fault):
        sampler = sampler_of(faulty_envs.make(fault, n_bad=3), 2)
        rollouts = [rollouts_of(sampler, 24) for _ in range(4)]
        sampler.close()
        assert not any(each.n_failures for each in rollouts)
        return [each.returns.tolist() for each in rollouts]

    assert returns(faulty_envs.forks) == returns(tuple)


def pids_of_children():
    return {pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}


@pytest.mark.promise(11)
def test_deaths_leave_nothing_behind(tally):
    n = tally.of(1, 34)
    sampler = sampler_of(faulty_envs.make(faulty_envs.is_killed, n_bad=n), 2)
    rollouts_of(sampler, 2)  # once before: Python keeps some descriptors
    sampler.close()
    before, children = len(os.listdir("/proc/self/fd")), pids_of_children()  # other tests may have left a fork server
    rollouts = rollouts_of(sampler, n + 2)
    sampler.close()
    assert rollouts.n_restarts == 3 * n
    assert len(os.listdir("/proc/self/fd")) == before
    assert pids_of_children() <= children
    tally("deaths of workers that left no descriptor and no process", 3 * n, of=3 * n)


# --- Elsewhere


def test_a_replay_shows_an_environment_that_exits(tmp_path):
    made = "from functools import partial; import faulty_envs; exiting = partial(faulty_envs.Seldom, faulty_envs.exits)"
    (tmp_path / "exiting_env.py").write_text(made)
    model = ARS("LinearPolicy", partial(faulty_envs.Seldom, faulty_envs.exits), seed=SEED, n_delta=6, monitor_dir=tmp_path)
    messages = []
    log = logging.getLogger("fastars")
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    log.addHandler(handler)
    try:
        model.learn(1)
    finally:
        log.removeHandler(handler)
    path = messages[0].split("fastars.replay ")[1].split()[0]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    command = [sys.executable, "-m", "fastars.replay", path, "exiting_env:exiting"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "SystemExit: enough" in done.stderr
    assert "in exits" in done.stderr
    assert "seed" in done.stdout


@pytest.mark.parametrize("fault", RAISE[:4], ids=lambda fault: fault.__name__)
def test_an_evaluation_in_a_plain_loop_names_the_episode(fault):
    model = ARS("LinearPolicy", faulty_envs.Line, seed=0, n_delta=1)
    with pytest.raises(RuntimeError, match="an episode with seed 17 of Seldom"):
        evaluate_policy(model, faulty_envs.Seldom(fault), 3, seed=16)
    with pytest.raises(ArithmeticError) as caught:
        evaluate_policy(model, faulty_envs.Seldom(faulty_envs.raises), 3, seed=16)
    assert caught.value.__notes__ == ["in an episode with seed 17 of Seldom"]

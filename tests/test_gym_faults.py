"""Environments in Python that raise, hang, return nonsense or take their process with them, and workers that somebody kills.

Broken on purpose: nobody looks at env_timeout -> test_a_worker_that_hangs_is_replaced_in_time and
test_hanging_elsewhere_is_found_as_in_a_step red; messages to workers may take for ever ->
test_a_worker_that_was_stopped_while_idle_is_replaced red; a worker that is not ready in time is an error at once ->
test_a_worker_that_hangs_before_it_is_ready_is_replaced red; a kill from outside is blamed on the episode ->
test_twenty_random_kills_change_no_bit red; one attempt at an episode -> test_a_second_attempt_gives_what_the_first_would_have red.
"""

import gc
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import faulty_envs
import gymnasium
import numpy as np
import pytest
from watched_samplers import watched

from fastars._compiled.structs import FAILED, NONFINITE, TERMINATED, LinearPolicy, identity_filter
from fastars.envs import UnsupportedEnvError, WorkerError, environment
from fastars.samplers import pool, process
from fastars.samplers.gym import GymSampler

N = 12  # episodes; the seed of each is its index
TESTS = Path(__file__).parent
WEIGHTS = np.random.default_rng(0).normal(size=(N // 2, 2))
pytestmark = pytest.mark.skipif(os.name != "posix", reason="worker processes need POSIX")


@pytest.fixture
def sampler_of():
    """A function that makes a sampler, which is closed in the end; its failures are in its `failures`."""
    made = []

    def make(env, n_workers=1, **settings):
        made.append(watched(env, LinearPolicy(), n_workers, **settings))
        return made[-1]

    yield make
    for sampler in made:
        sampler.close()


def evaluate(sampler, n=N):
    return sampler.evaluate(WEIGHTS[: n // 2], identity_filter(2), np.arange(n, dtype=np.uint64), True)


def expected(n=N):
    """Return the rollouts of all episodes if nothing goes wrong."""
    env = environment(faulty_envs.Line)
    return evaluate(GymSampler(env, env.rollout_spec(LinearPolicy())), n)


def same(ours, theirs, but=()):
    """Assert that all episodes gave the same, except for those in `but`."""
    good = np.setdiff1d(np.arange(len(ours.returns)), but)
    for a, b in zip((*ours[:3], *ours.moments), (*theirs[:3], *theirs.moments), strict=True):
        np.testing.assert_array_equal(a[good], b[good])


def is_alive(pid):
    """Return True if a process runs: a dead one that nobody waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def workers(sampler):
    return sampler._runner._workers


# --- An environment that raises or returns what it should not

NONSENSE = {
    faulty_envs.raises: "ArithmeticError: the floor gave way",
    faulty_envs.gives_wrong_shape: r"shape \(3,\), its space says \(2,\)",
    faulty_envs.gives_one_number: r"shape \(1,\), its space says \(2,\)",
    faulty_envs.gives_four_values: "not enough values to unpack",
    faulty_envs.gives_nothing: "cannot unpack non-iterable NoneType",
    faulty_envs.gives_text_as_reward: "the reward must be a number, got 'much'",
    faulty_envs.gives_array_as_end: r"terminated must be True or False, got array\(\[ True, False\]\)",
}


@pytest.mark.promise(9)
@pytest.mark.parametrize("fault", NONSENSE, ids=lambda fault: fault.__name__)
def test_an_episode_is_tried_twice_and_given_up(fault, sampler_of):
    sampler = sampler_of(faulty_envs.make(fault))
    rollouts = evaluate(sampler)
    same(rollouts, expected(), but=[0])
    assert rollouts.status[0] == FAILED
    assert np.isnan(rollouts.returns[0])
    assert (rollouts.lengths[0], rollouts.moments.count[0]) == (0, 0)
    assert [failure[:4] for failure in sampler.failures] == [(0, 0, 1, False), (0, 0, 2, True)]
    for failure in sampler.failures:
        assert re.search(NONSENSE[fault], failure.text)
        assert "Traceback (most recent call last)" in failure.text
    assert sampler.n_failures == 2


def test_the_traceback_is_the_environments_own(sampler_of):
    sampler = sampler_of(faulty_envs.make(faulty_envs.raises), 2)
    evaluate(sampler)
    assert 'raise ArithmeticError("the floor gave way")' in sampler.failures[0].text
    assert "faulty_envs.py" in sampler.failures[0].text


@pytest.mark.parametrize("n_workers", [1, 2])
def test_failures_in_workers_are_those_of_this_process(n_workers, sampler_of):
    sampler = sampler_of(faulty_envs.make(faulty_envs.raises, n_bad=3), n_workers, envs_per_worker=4)
    rollouts = evaluate(sampler)
    same(rollouts, expected(), but=[0, 1, 2])
    assert (rollouts.status[:3] == FAILED).all()
    assert sorted(failure[:4] for failure in sampler.failures) == [
        (seed, seed, attempt, attempt == 2) for seed in range(3) for attempt in (1, 2)
    ]
    assert sampler.n_restarts == 0


@pytest.mark.promise(9)
@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_second_attempt_gives_what_the_first_would_have(n_workers, sampler_of, tmp_path):
    sampler = sampler_of(faulty_envs.make(faulty_envs.raises, n_bad=5, once=tmp_path), n_workers)
    same(evaluate(sampler), expected())
    assert len(sampler.failures) == 5
    assert not any(failure.is_final for failure in sampler.failures)


def test_an_instance_is_tried_again_itself(sampler_of, tmp_path):
    env = faulty_envs.make(faulty_envs.raises, n_bad=5, once=tmp_path)()
    sampler = sampler_of(env)
    same(evaluate(sampler), expected())
    assert sampler.n_failures == 5


@pytest.mark.parametrize("observation", [3, -1, 0.5])
def test_a_choice_outside_its_space_is_a_failure(observation, sampler_of):
    class Chooses(faulty_envs.Line):
        observation_space = gymnasium.spaces.Discrete(3)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return seed % 3, {}

        def step(self, action):
            _, *rest = super().step(action)
            return observation if self.seed == 1 else 2, *rest

    sampler = sampler_of(Chooses)
    rollouts = sampler.evaluate(np.zeros((1, 3)), identity_filter(3), np.arange(3, dtype=np.uint64), True)
    assert rollouts.status.tolist() == [TERMINATED, FAILED, TERMINATED]
    assert [failure.seed for failure in sampler.failures] == [1, 1]


class RaisesInReset(faulty_envs.Line):
    def reset(self, *, seed=None, options=None):
        if seed == 2:
            raise ConnectionError("no answer")
        return super().reset(seed=seed)


@pytest.mark.parametrize("n_workers", [1, 2])
def test_reset_may_fail_too(n_workers, sampler_of):
    sampler = sampler_of(RaisesInReset, n_workers)
    rollouts = evaluate(sampler)
    same(rollouts, expected(), but=[2])
    assert rollouts.status[2] == FAILED
    assert "ConnectionError: no answer" in sampler.failures[0].text


@pytest.mark.promise(8)
@pytest.mark.parametrize("fault", ["nan_observation", "infinite_observation", "nan_reward", "infinite_reward"])
def test_a_bad_number_ends_the_episode_and_is_no_failure(fault, sampler_of):
    sampler = sampler_of(faulty_envs.make(getattr(faulty_envs, f"gives_{fault}"), n_bad=3), envs_per_worker=2)
    rollouts = evaluate(sampler)
    same(rollouts, expected(), but=[0, 1, 2])
    assert rollouts.status[:3].tolist() == [NONFINITE] * 3
    assert np.isnan(rollouts.returns[:3]).all()
    assert rollouts.lengths[:3].tolist() == rollouts.moments.count[:3].tolist() == [faulty_envs.AT] * 3
    assert np.isfinite(rollouts.moments.mean).all()
    assert sampler.failures == []


# --- A worker that hangs, ends or is killed

HANGS = [faulty_envs.sleeps, faulty_envs.spins, faulty_envs.never_lets_go]
SILENT = [faulty_envs.never_lets_go_and_hears_no_signal, faulty_envs.stops]  # which can't be asked where they are


def since(marker):
    """Seconds since a file was made, which an environment does where it goes wrong."""
    return time.time() - marker.stat().st_mtime


@pytest.mark.timing
@pytest.mark.promise(10)
@pytest.mark.parametrize("fault", HANGS + SILENT, ids=lambda fault: fault.__name__)
def test_a_worker_that_hangs_is_replaced_in_time(fault, sampler_of, tmp_path, tally, limit):
    sampler = sampler_of(faulty_envs.make(fault, once=tmp_path), 2, env_timeout=0.5)
    times = []
    sampler.on_failure = lambda failure: times.append((since(tmp_path / "0"), failure))
    same(evaluate(sampler), expected())
    ((seconds, failure),) = times
    assert 0.4 <= seconds < 0.5 + limit(2.0)
    assert failure[:4] == (0, 0, 1, False)
    assert "no step for 0.5 s (env_timeout)" in failure.text
    assert (f"in {fault.__name__}" in failure.text) == (fault in HANGS)  # where it hung
    assert (sampler.n_failures, sampler.n_restarts) == (1, 1)
    tally(f"replaced after a timeout of 0.5 s, {fault.__name__}", round(seconds, 2), unit="s")


@pytest.mark.timing
@pytest.mark.promise(10)
@pytest.mark.parametrize("where", ["reset", "close", "constructor again"])
def test_hanging_elsewhere_is_found_as_in_a_step(where, sampler_of, tmp_path, tally, limit):
    sampler = sampler_of(partial(faulty_envs.Hangs, where, tmp_path), 2, env_timeout=0.5)
    times = []
    sampler.on_failure = lambda failure: times.append(((tmp_path / "hung").exists() and since(tmp_path / "hung"), failure))
    rollouts = evaluate(sampler)
    same(rollouts, expected(), but=[] if where == "reset" else [0])
    ((seconds, failure),) = [(at, failure) for at, failure in times if "no step for 0.5 s" in failure.text]
    assert 0.4 <= seconds < 0.5 + limit(2.0)
    assert failure.episode == 0
    assert sampler.n_restarts == 1
    tally(f"replaced after a timeout of 0.5 s, in {where}", round(seconds, 2), unit="s")


@pytest.mark.timing
@pytest.mark.promise(10)
def test_a_worker_that_hangs_before_it_is_ready_is_replaced(sampler_of, tmp_path, monkeypatch, tally, limit):
    monkeypatch.setattr(process, "START_SECONDS", 6.0)
    sampler = sampler_of(partial(faulty_envs.Hangs, "constructor", tmp_path), 2)
    while sampler.n_restarts == 0:  # the other worker runs all of it
        same(evaluate(sampler), expected())
    seconds = since(tmp_path / "hung")
    assert seconds < 6.0 + limit(2.0)
    assert sampler.failures == []
    tally("replaced after 6 s without being ready", round(seconds, 2), unit="s")


@pytest.mark.timing
@pytest.mark.promise(10)
def test_a_close_that_hangs_is_not_waited_for(sampler_of, tally, limit):
    sampler = sampler_of(faulty_envs.NeverCloses, 2)
    evaluate(sampler)
    pids = [worker.process.pid for worker in workers(sampler)]
    start = time.monotonic()
    sampler.close()
    seconds = time.monotonic() - start
    assert not any(map(is_alive, pids))
    assert 1.0 < seconds < limit(4.0)
    tally("workers that never close ended", round(seconds, 2), unit="s")


@pytest.mark.timing
@pytest.mark.promise(11)
@pytest.mark.parametrize("env", [faulty_envs.Line, faulty_envs.Wide])
def test_a_worker_that_was_stopped_while_idle_is_replaced(env, sampler_of, tally, limit):
    """A message to it must not be waited for, of which it reads no more than the system keeps for it."""
    sampler = sampler_of(env, 2, env_timeout=0.5)
    n_obs = sampler.env.n_obs
    arguments = np.zeros((N // 2, n_obs)), identity_filter(n_obs), np.arange(N, dtype=np.uint64), True
    before = sampler.evaluate(*arguments)
    while not all(worker.is_ready for worker in workers(sampler)):
        sampler.evaluate(*arguments)
    stopped = workers(sampler)[0].process
    stopped.send_signal(signal.SIGSTOP)
    start, end = time.monotonic(), threading.Event()
    times = []
    watch = threading.Thread(target=lambda: (stopped.wait(), times.append(time.monotonic()), end.set()))
    watch.start()
    while not end.is_set():
        same(sampler.evaluate(*arguments), before)
    seconds = times[0] - start
    assert 0.4 < seconds < 0.5 + limit(2.0)
    assert (sampler.n_restarts, sampler.failures) == (1, [])
    tally(f"replaced after it was stopped, {env.__name__}", round(seconds, 2), unit="s")


@pytest.mark.promise(11)
@pytest.mark.parametrize("n_workers", [1, 2])
@pytest.mark.parametrize("fault", [faulty_envs.runs_out_of_memory, faulty_envs.prints_garbage], ids=lambda fault: fault.__name__)
def test_what_a_process_can_survive_changes_no_bit(fault, n_workers, sampler_of, tmp_path, tally):
    if fault is faulty_envs.runs_out_of_memory and n_workers == 1:
        pytest.skip("the limit would stay")
    sampler = sampler_of(faulty_envs.make(fault, n_bad=5, once=tmp_path), n_workers)
    same(evaluate(sampler), expected())
    assert len(list(tmp_path.iterdir())) == 5
    assert sampler.n_restarts == 0
    errors = ["MemoryError"] * 5 if fault is faulty_envs.runs_out_of_memory else []
    assert [re.search(r"MemoryError", failure.text).group() for failure in sampler.failures] == errors
    tally(f"episodes unharmed, {fault.__name__}, n_workers={n_workers}", 5, of=5)


@pytest.mark.timing
def test_a_slow_step_that_others_follow_is_no_hang(sampler_of):
    sampler = sampler_of(faulty_envs.Slow, 2, env_timeout=0.1, envs_per_worker=6)
    start = time.monotonic()
    same(evaluate(sampler), expected())
    assert time.monotonic() - start > 0.1
    assert sampler.n_failures == 0


ENDS = {
    faulty_envs.leaves: "exit code 3",
    faulty_envs.crashes: "SIGSEGV",
    faulty_envs.aborts: "SIGABRT",
    faulty_envs.is_killed: "SIGKILL",
    faulty_envs.is_terminated: "SIGTERM",
    faulty_envs.leaves_from_a_thread: "exit code 4",
}


@pytest.mark.promise(11)
@pytest.mark.parametrize("fault", ENDS, ids=lambda fault: fault.__name__)
def test_the_episode_that_ends_its_process_is_given_up(fault, sampler_of):
    sampler = sampler_of(faulty_envs.make(fault), 2)
    rollouts = evaluate(sampler)
    same(rollouts, expected(), but=[0])
    assert rollouts.status[0] == FAILED
    assert [failure[:4] for failure in sampler.failures] == [(0, 0, 1, False), (0, 0, 2, True)]
    assert f"its worker process ended ({ENDS[fault]})" in sampler.failures[0].text
    if fault in (faulty_envs.crashes, faulty_envs.aborts):
        assert f"in {fault.__name__}" in sampler.failures[0].text  # Python's own last words
    assert sampler.n_restarts == 3  # with others, and twice alone


def seconds_to_recover(sampler):
    """3 s; on a machine that is busy with other things twice the time that the first start takes."""
    start = time.monotonic()
    evaluate(sampler)
    return max(3.0, 2.0 * (time.monotonic() - start))


@pytest.mark.timing
@pytest.mark.promise(11)
def test_twenty_random_kills_change_no_bit(sampler_of, tally, limit):
    reference, sampler, n = expected(), sampler_of(faulty_envs.Slow, 4), tally.of(fast=10, full=200)
    draw, times, seconds = random.Random(0), [], []

    def kill():
        draw.choice(list(workers(sampler))).process.send_signal(draw.choice([signal.SIGKILL, signal.SIGTERM]))
        times.append(time.monotonic())

    allowed = seconds_to_recover(sampler)
    for k in range(n):
        timer = threading.Timer(draw.uniform(0.0, 0.1), kill)
        timer.start()
        while sampler.n_restarts == k:
            same(evaluate(sampler), reference)
        seconds.append(time.monotonic() - times[-1])
        timer.join()
    assert sampler.failures == []
    assert sampler.n_restarts == len(times) == n
    assert max(seconds) < limit(allowed)
    tally("random kills of 4 workers that changed no bit", n, of=n)
    tally("slowest evaluation after a kill", round(max(seconds), 2), unit="s")


@pytest.mark.timing
@pytest.mark.promise(11)
def test_killed_workers_are_replaced_within_three_seconds(sampler_of, tally, limit):
    """All of them at once."""
    sampler, n, seconds = sampler_of(faulty_envs.Slow, 4), tally.of(fast=1, full=20), []
    allowed = seconds_to_recover(sampler)
    for _ in range(n):
        victims = list(workers(sampler))
        for worker in victims:
            worker.process.kill()
        start, before = time.monotonic(), sampler.n_restarts
        same(evaluate(sampler), expected())
        seconds.append(time.monotonic() - start)
        assert sampler.n_restarts == before + len(victims)
    assert max(seconds) < limit(allowed)
    tally("times that all workers were killed", n, of=n)
    tally("slowest recovery", round(max(seconds), 2), unit="s")


# --- Workers that can't start


def broken():
    raise FileNotFoundError("no such level: 12")


class BreaksInWorkers:
    """Makes an environment in this process, and in no other."""

    def __init__(self):
        self.pid = os.getpid()

    def __call__(self):
        return faulty_envs.Line() if os.getpid() == self.pid else broken()


def test_a_worker_that_cannot_make_its_environment_is_one_clear_error(sampler_of):
    sampler = sampler_of(BreaksInWorkers(), 2)
    for _ in range(2):
        with pytest.raises(WorkerError, match="could not make its environment") as caught:
            evaluate(sampler)
        assert "FileNotFoundError: no such level: 12" in str(caught.value)
        assert "in broken" in str(caught.value)
        assert sampler._runner.n_restarts <= 2  # as often as there are workers


class BreaksAtFirst:
    """Raises in the first call in each process but this one."""

    def __init__(self):
        self.calls = {os.getpid(): 1}

    def __call__(self):
        self.calls[os.getpid()] = self.calls.get(os.getpid(), 0) + 1
        if self.calls[os.getpid()] == 1:
            raise KeyboardInterrupt
        return faulty_envs.Line()


def test_an_environment_that_a_worker_makes_at_the_second_attempt_is_as_good(sampler_of):
    sampler = sampler_of(BreaksAtFirst(), 2)
    same(evaluate(sampler), expected())
    assert (sampler.n_restarts, sampler.failures) == (0, [])


class DiesInWorkers(BreaksInWorkers):
    def __init__(self, die):
        super().__init__()
        self.die = die

    def __call__(self):
        return faulty_envs.Line() if os.getpid() == self.pid else self.die(None)


@pytest.mark.parametrize(("die", "how"), [(faulty_envs.leaves, "exit code 3"), (faulty_envs.is_killed, "SIGKILL")])
def test_a_worker_that_dies_while_it_starts_is_one_clear_error(die, how, sampler_of, monkeypatch):
    monkeypatch.setattr(pool, "_MAX_LOSSES", 3)
    with pytest.raises(WorkerError, match=rf"ended \({how}\) before it was ready"):
        evaluate(sampler_of(DiesInWorkers(die), 2))


def test_what_cannot_travel_is_refused_at_once(sampler_of):
    lock = threading.Lock()
    with pytest.raises(UnsupportedEnvError, match=r"worker processes.*lock"):
        sampler_of(lambda: (lock, faulty_envs.Line())[1], 2)


# --- Nothing is left behind


def test_an_interrupt_leaves_nothing_stale(sampler_of, no_gc_callbacks):
    sampler = sampler_of(faulty_envs.Slow, 2)
    evaluate(sampler)
    for delay in (0.005, 0.02):
        timer = threading.Timer(delay, signal.raise_signal, [signal.SIGINT])
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            [evaluate(sampler) for _ in range(1000)]
        timer.join()
        same(evaluate(sampler), expected())


@pytest.mark.parametrize("n_workers", [1, 2])
def test_an_exception_of_the_listener_leaves_nothing_stale(n_workers, sampler_of, tmp_path):
    sampler = sampler_of(faulty_envs.make(faulty_envs.raises, once=tmp_path), n_workers)

    def listen(failure):
        raise RuntimeError("the listener")

    sampler.on_failure = listen
    with pytest.raises(RuntimeError, match="the listener"):
        evaluate(sampler)
    same(evaluate(sampler), expected())


@pytest.mark.parametrize("way", ["close", "collected"])
def test_closed_samplers_leave_no_process_file_or_thread(way):
    def descriptors():
        return sorted(
            os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")
        )

    def shared():  # and not all of /dev/shm, in which other tests have theirs
        return re.findall(r"/dev/shm/\S+", Path("/proc/self/maps").read_text())

    env = environment(faulty_envs.make(faulty_envs.leaves))
    gc.collect()  # the samplers of other tests
    before = len(descriptors()), threading.active_count(), shared()
    sampler = GymSampler(env, env.rollout_spec(LinearPolicy()), 3)
    evaluate(sampler)
    pids = [worker.process.pid for worker in workers(sampler)]
    assert pids  # 2 or 3: one that ended is replaced if there is work left
    assert all(map(is_alive, pids))
    assert shared() == before[2]
    if way == "close":
        sampler.close()
    else:
        del sampler
        gc.collect()
    assert not any(map(is_alive, pids))
    assert (len(descriptors()), threading.active_count(), shared()) == before


class Signs(faulty_envs.Line):
    """Leaves a file behind where it is closed."""

    def __init__(self, folder):
        self.folder = folder

    def close(self):
        (self.folder / str(os.getpid())).touch()


def test_idle_workers_close_their_environments(sampler_of, tmp_path):
    sampler = sampler_of(partial(Signs, tmp_path), 2)
    (tmp_path / str(os.getpid())).unlink()  # of the one that showed its spaces
    evaluate(sampler)
    pids = {str(worker.process.pid) for worker in workers(sampler)}
    sampler.close()
    assert {path.name for path in tmp_path.iterdir()} == pids


def test_the_terminals_interrupts_do_not_reach_workers(sampler_of):
    sampler = sampler_of(faulty_envs.Line, 2)
    evaluate(sampler)
    pids = [worker.process.pid for worker in workers(sampler)]
    assert len(pids) == 2
    assert [os.getsid(pid) for pid in pids] == pids


def test_a_closed_sampler_can_be_used_again(sampler_of):
    for n_workers in (1, 2):
        sampler = sampler_of(faulty_envs.Line, n_workers)
        for _ in range(2):
            same(evaluate(sampler), expected())
            sampler.close()
            sampler.close()


SCRIPT = """
import numpy as np, sys, time
sys.path.insert(0, {tests!r})
import faulty_envs
from fastars._compiled.structs import LinearPolicy, identity_filter
from fastars.envs import environment
from fastars.samplers.gym import GymSampler

env = environment(faulty_envs.make(faulty_envs.{fault}, n_bad=10), compiled=False)
sampler = GymSampler(env, env.rollout_spec(LinearPolicy()), 2, env_timeout=None)
sampler.evaluate(np.zeros((2, 2)), identity_filter(2), np.arange(10, 12, dtype=np.uint64), False)
print(*[worker.process.pid for worker in sampler._runner._workers], flush=True)
if {busy}:
    sampler.evaluate(np.zeros((4, 2)), identity_filter(2), np.arange(4, dtype=np.uint64), False)
time.sleep(100)
"""


@pytest.mark.promise(11)
@pytest.mark.parametrize(
    ("fault", "busy", "sent"),
    [
        ("sleeps", False, signal.SIGKILL),
        ("sleeps", True, signal.SIGKILL),
        ("never_lets_go", True, signal.SIGKILL),
        ("spins", True, signal.SIGTERM),
        ("sleeps", True, signal.SIGINT),
        ("sleeps", False, signal.SIGINT),
    ],
)
def test_no_worker_outlives_its_parent(fault, busy, sent):
    script = SCRIPT.format(tests=str(TESTS), fault=fault, busy=busy)
    with subprocess.Popen(
        [sys.executable, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        run.stdin.write(script)
        run.stdin.close()
        pids = list(map(int, run.stdout.readline().split()))
        time.sleep(0.2)
        assert len(pids) == 2
        assert all(map(is_alive, pids))
        run.send_signal(sent)
        run.wait(60)
        deadline = time.monotonic() + 20.0  # they would sleep for 1000 s
        while any(map(is_alive, pids)) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not any(map(is_alive, pids))
        run.stdout.close()
        run.stderr.close()

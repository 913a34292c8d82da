"""Signals at random moments, again and again, and handlers of all kinds: none is lost, and what they raise comes out.

Broken on purpose, one at a time: SIGINT and SIGTERM alone are held -> test_handlers_that_raise_in_kernels red (the process dies),
and so where kernels that return arrays are called without holding signals (SystemError);
and test_every_signal_reaches (handlers run inside of `threading`); the last of several signals alone kept ->
test_every_signal_reaches and test_every_signal_that_waits red; exceptions that Python drops are not kept ->
test_an_exception_that_python_drops and the storm "garbage" red; those of others dropped, or the hook left in place ->
test_what_others_drop red; no context around the loop of `learn` -> the storms "compiled", "tasks", "python", "garbage" red, and
"mujoco" where it is one of the user's code; a context that is no longer one after an inner one -> the storms "mujoco" to
"workers" red; no look at the handlers after a callback -> test_a_handler_that_a_callback_sets red; handlers not given back, or
our own taken for the user's -> this one, test_a_callback_hears, test_a_run_inside_a_callback red; schedules called while signals
wait -> test_a_schedule red; callbacks so -> test_a_callback_hears red; other threads taken for the main one ->
test_another_thread red; the mode of the parent kept in a fork -> test_a_fork red; the rest of the signals forgotten when a
handler raises -> test_every_signal_that_waits red; one function before all handlers of a signal -> test_a_handler_may_call red (it
calls itself); rows written before the state of their iteration -> the storms "workers" and "AsyncEval" red; its workers not used ->
"AsyncEval" red; handlers taken for those of the call before -> test_each_call_looks_at_the_handlers red.
"""

import gc
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import faulty_envs
import numpy as np
import pytest

import fastars
from fastars import ARS, AsyncEval, kernels
from fastars._compiled.jit import kernel
from fastars._runtime.signals import HeldSignals, OpenSignals, let_signals_in
from fastars.callbacks import EveryIteration
from fastars.logger import Logger

ROOT = str(Path(fastars.__file__).parent.parent)
pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends signals")


class Signalled(BaseException):
    """The exception that the handlers of these tests raise."""


class Node:
    """An object in a circle, which the garbage collector finds."""

    def __init__(self):
        self.me = self


class Garbage(faulty_envs.Line):
    """A `Line` whose steps leave garbage with callbacks, in which Python drops exceptions."""

    def step(self, action):
        for _ in range(30):
            weakref.finalize(Node(), sum, range(20))
        return super().step(action)


KINDS = {
    "mujoco": ("HalfCheetah-v5", {"max_episode_steps": 50, "n_threads": 2}),
    "compiled": ("CartPole-v1", {"n_threads": 2}),
    "tasks": ("fastars/mo-mountaincar-v0", {"weighting": "gradnorm", "max_episode_steps": 50}),
    "python": (faulty_envs.Line, {}),
    "garbage": (Garbage, {}),
    "workers": (faulty_envs.Line, {"n_workers": 2}),
    "AsyncEval": (faulty_envs.Line, {"async_eval": 2}),
}
FULL = {"mujoco": 5000, "compiled": 5000, "python": 5000, "workers": 2000, "AsyncEval": 2000}


class Storm:
    """Sends a signal at a random moment of each call, from a thread of its own."""

    def __init__(self, number, most_seconds):
        self.number, self.most_seconds, self.n_sent, self.n_heard = number, most_seconds, 0, 0
        self._draw, self._begins, self._ends = random.Random(5), threading.Event(), False
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._before = signal.signal(self.number, self.handle)
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._ends = True
        self._begins.set()
        self._thread.join()
        signal.signal(self.number, self._before)

    def begin(self):
        self._begins.set()

    def handle(self, number, frame):
        self.n_heard += 1
        raise Signalled

    def _run(self):
        while True:
            self._begins.wait()
            self._begins.clear()
            if self._ends:
                return
            time.sleep(self._draw.uniform(0.0, self.most_seconds))
            os.kill(os.getpid(), self.number)
            self.n_sent += 1


@pytest.mark.promise(13)
@pytest.mark.parametrize("kind", KINDS)
def test_a_storm_of_signals_loses_none_and_no_row(kind, tmp_path, tally):
    env, settings = KINDS[kind]
    settings = dict(settings)
    n_workers = settings.pop("async_eval", None)
    n = tally.of(10 if kind in ("workers", "AsyncEval") else 100, FULL.get(kind, 1000))
    model = ARS("LinearPolicy", env, seed=0, n_delta=2, monitor_dir=tmp_path, **settings)
    logger = Logger(tmp_path, ["csv", "json"])
    model.set_logger(logger)
    workers = None if n_workers is None else AsyncEval([None] * n_workers)
    model.learn(1, async_eval=workers)
    assert model.n_workers == (2 if kind in ("workers", "AsyncEval") else 1)
    n_out = 0

    def goes_on(local, _):
        """Stop where a signal was sent, and many iterations later no exception has come out."""
        goes_on.n_since += storm.n_sent > n_out
        return goes_on.n_since < 300

    with Storm(signal.SIGINT, 0.03) as storm:
        while n_out < n:
            goes_on.n_since = 0
            storm.begin()
            try:
                model.learn(10**9, goes_on, reset_num_timesteps=False, async_eval=workers)
            except Signalled:
                n_out += 1
                while storm.n_sent < n_out:
                    time.sleep(0.0001)
                continue
            break
        assert signal.getsignal(signal.SIGINT) == storm.handle
    model.close()
    logger.close()
    assert n_out == storm.n_sent == storm.n_heard == n
    rows = [(tmp_path / name).read_text().splitlines() for name in ("progress.csv", "progress.json", "0.monitor.csv")]
    assert [len(lines) for lines in rows] == [model.iteration + 1, model.iteration, model.num_episodes + 2]
    tally(f"signals at random moments of learn that raised in it, {kind}", n_out, of=n)


@pytest.mark.promise(13)
def test_every_signal_reaches_a_handler_that_counts(tally):
    """As often as Python would call it: once for each that comes after the one before was heard. And none inside of `threading`."""
    numbers = [signal.SIGUSR1, signal.SIGWINCH, signal.SIGCHLD, signal.SIGRTMIN]
    heard, sent, places, ends = dict.fromkeys(numbers, 0), dict.fromkeys(numbers, 0), set(), []

    def handle(number, frame):
        heard[number] += 1
        places.add(Path(frame.f_code.co_filename).name)

    def send():
        for _ in range(50):
            for number in numbers:
                os.kill(os.getpid(), number)
                sent[number] += 1
            while heard != sent and not ends:
                time.sleep(0.0001)
        ends.append("all are sent")

    def goes_on(local, _):
        """Stop at the end, or where 1,000 iterations later a signal was not heard."""
        goes_on.n_since = 0 if heard == sent else goes_on.n_since + 1
        return not ends and goes_on.n_since < 1000

    goes_on.n_since = 0
    model = ARS("LinearPolicy", "CartPole-v1", seed=0, n_delta=2, n_threads=1)
    before = {number: signal.signal(number, handle) for number in numbers}
    sender = threading.Thread(target=send)
    try:
        with HeldSignals():
            sender.start()
            model.learn(10**9, goes_on)
    finally:
        ends.append("learn has ended")
        sender.join()
        for number, handler in before.items():
            signal.signal(number, handler)
    assert heard == sent == dict.fromkeys(numbers, 50)
    assert "threading.py" not in places  # where `learn` waits for kernels
    tally("signals of four kinds that reached a handler that counts", sum(heard.values()), of=200)


def test_every_signal_that_waits_is_heard_though_the_first_raises():
    heard = []

    def handle(number, frame):
        heard.append((number, frame is not None))
        raise Signalled

    def hold():
        with HeldSignals():
            for number in numbers:
                signal.raise_signal(number)
            heard.append("held")

    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGALRM]
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        with pytest.raises(Signalled):
            hold()
        assert heard == ["held", *((number, True) for number in numbers)]
        assert all(signal.getsignal(number) is handle for number in numbers)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


IN_KERNELS = """
import signal, sys
import numpy as np
import fastars
from fastars import ARS, kernels
from fastars.envs.vector import make_vec
from fastars.weighting import GradNorm

class Late(BaseException):  # Gymnasium catches every Exception in some places
    pass

def handle(number, frame):
    raise Late

def calls():
    model = ARS("LinearPolicy", "CartPole-v1", seed=0, n_delta=2, n_threads=1)
    envs = make_vec("CartPole-v1", 3)
    method, norms = GradNorm(3), np.ones(3)
    noise, indices, theta = np.ones(100, np.float32), np.arange(4), np.zeros(4)
    moments = 5, np.ones(3), np.ones(3)
    yield lambda: kernels.norm_sq(theta)  # no Python code runs in these
    yield lambda: kernels.norm_sq(theta[::2])
    yield lambda: kernels.perturb(theta, 0.1, noise, indices)
    yield lambda: kernels.filter_from_moments(*moments, 1, 1e-8, 1e-8, 1e-8)
    yield lambda: kernels.info(theta, theta, theta)
    yield lambda: method.step([1.0, 2.0, 3.0], norms=norms)
    yield lambda: model.predict(np.zeros(4))
    yield lambda: model.evaluate(2)
    yield lambda: (envs.reset(seed=0), envs.step(np.zeros(3, np.int64)))
    yield lambda: fastars.evaluate_candidates("CartPole-v1", np.zeros((2, 8)), [0, 1])

works = list(calls())
for work in works:
    work()
signal.signal(signal.SIGALRM, handle)
raised = 0
for k in range(int(sys.argv[1])):
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0001 + 0.0007 * (k % 13) / 13)
            while True:
                works[k % len(works)]()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Late:
        raised += 1
print(raised)
"""


@pytest.mark.promise(13)
def test_handlers_that_raise_in_kernels_raise_around_them(tally):
    n = tally.of(500, 20_000)
    environ = {**os.environ, "PYTHONPATH": ROOT}
    done = subprocess.run([sys.executable, "-c", IN_KERNELS, str(n)], env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{n}\n", "")
    tally("alarms whose handler raised out of a call of kernels", n, of=n)


def test_signals_wait_where_python_code_runs_in_a_kernel():
    theta, moments = np.zeros(4), kernels.Moments(np.ones(1, np.int64), np.zeros((1, 3)), np.zeros((1, 3)))
    for each, arguments in (
        (kernels.norm_sq, (theta,)),
        (kernels.norm_sq, (theta[::2],)),  # another type
    ):
        each(*arguments)
        assert each.runs_no_python
    for each, arguments in (
        (kernels.perturb, (theta, 0.1, np.zeros(8, np.float32), np.zeros(2, np.int64))),  # returns an array
        (kernels.filter_from_moments, (5, np.ones(3), np.ones(3), 1, 1e-8, 1e-8, 1e-8)),  # a tuple of arrays
        (kernels.info, (theta, theta, theta)),  # a NamedTuple
        (kernels.merge_moments, (0, np.zeros(3), np.zeros(3), moments)),  # takes a NamedTuple
    ):
        each(*arguments)
        assert not each.runs_no_python


def test_a_kernel_with_one_type_that_needs_python_holds_signals_for_all():
    @kernel
    def first(values):
        return values[0]

    assert not first.runs_no_python  # without code
    first((1.0, 2.0))
    assert first.runs_no_python
    first(kernels.Moments(1, np.zeros(3), np.zeros(3)))
    assert not first.runs_no_python
    first(np.zeros(2))
    assert not first.runs_no_python


@pytest.fixture
def raising():
    """SIGUSR1 raises `Signalled`."""

    def handle(number, frame):
        raise Signalled

    before = signal.signal(signal.SIGUSR1, handle)
    yield handle
    signal.signal(signal.SIGUSR1, before)


def test_an_exception_that_python_drops_comes_out_later(raising):
    node = Node()
    node.me = None
    reference = weakref.ref(node, lambda _: signal.raise_signal(signal.SIGUSR1))
    steps = []

    def use():
        nonlocal node
        with OpenSignals():
            node = None
            steps.append("dropped")
            let_signals_in()
            steps.append("lost")

    hook = sys.unraisablehook
    with pytest.raises(Signalled):
        use()
    assert (steps, reference()) == (["dropped"], None)
    assert sys.unraisablehook is hook


def test_what_others_drop_goes_to_the_hook_that_was_there(monkeypatch):
    seen = []

    def hook(unraisable):
        seen.append(type(unraisable.exc_value))

    monkeypatch.setattr(sys, "unraisablehook", hook)
    with HeldSignals():
        node = Node()
        reference = weakref.ref(node, lambda _: 1 / 0)
        del node
        gc.collect()
    assert reference() is None
    assert seen == [ZeroDivisionError]
    assert sys.unraisablehook is hook


def test_each_call_looks_at_the_handlers_of_its_time():
    """The same ones as before, others, none, and some that the user sets in the middle."""
    heard = []
    first, second = (lambda *_, name=name: heard.append(name) for name in ("first", "second"))
    numbers = signal.SIGUSR1, signal.SIGRTMIN
    before = [signal.getsignal(number) for number in numbers]
    handlers = [first, first, second, first, signal.SIG_IGN, first, signal.SIG_DFL, second, second]
    try:
        for one, other in itertools.product(handlers, repeat=2):
            for at, handler in zip(numbers, (one, other), strict=True):
                signal.signal(at, handler)
            with HeldSignals():
                raised = [at for at, handler in zip(numbers, (one, other), strict=True) if callable(handler)]
                for at in raised:
                    signal.raise_signal(at)
                assert heard == []
                with OpenSignals():
                    expected = [{first: "first", second: "second"}[handler] for handler in (one, other) if callable(handler)]
                    assert heard == expected
                    heard.clear()
                    signal.signal(signal.SIGUSR1, second)
                signal.raise_signal(signal.SIGUSR1)
                assert heard == []
            assert heard == ["second"]
            assert [signal.getsignal(at) for at in numbers] == [second, other]
            heard.clear()
    finally:
        for at, handler in zip(numbers, before, strict=True):
            signal.signal(at, handler)


def test_a_callback_hears_a_signal_at_once(raising):
    heard = []

    def callback(local, _):
        try:
            signal.raise_signal(signal.SIGUSR1)
        except Signalled:
            heard.append(local["self"].iteration)
        return len(heard) < 3

    ARS("LinearPolicy", "CartPole-v1", seed=0, n_delta=1, n_threads=1).learn(10**9, EveryIteration(callback))
    assert heard == [1, 2, 3]


def test_a_schedule_hears_a_signal_at_once(raising):
    steps = []

    def schedule(progress):
        steps.append("sent")
        signal.raise_signal(signal.SIGUSR1)
        steps.append("not heard")

    with pytest.raises(Signalled):
        ARS("LinearPolicy", "CartPole-v1", seed=0, n_delta=1, n_threads=1, learning_rate=schedule).learn(1)
    assert steps == ["sent"]


def test_a_handler_that_a_callback_sets_stays_and_is_held_from_then_on(raising):
    heard = []

    def other(number, frame):
        heard.append("other")
        raise Signalled

    def callback(local, _):
        signal.signal(signal.SIGUSR1, other)
        return False

    model = ARS("LinearPolicy", "CartPole-v1", seed=0, n_delta=1, n_threads=1)
    model.learn(10**9, callback)
    assert signal.getsignal(signal.SIGUSR1) is other

    def held():
        with HeldSignals():
            with OpenSignals():
                signal.signal(signal.SIGUSR2, other)
            signal.raise_signal(signal.SIGUSR2)
            heard.append("held")

    before = signal.getsignal(signal.SIGUSR2)
    try:
        with pytest.raises(Signalled):
            held()
        assert signal.getsignal(signal.SIGUSR2) is other
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert heard == ["held", "other"]


@pytest.mark.parametrize("stays", [True, False])
def test_a_handler_may_call_the_one_that_it_found(stays, raising):
    """As `signal.signal(SIGTERM, ...)` in a logger that is started in a callback; what it found stands before the user's own."""
    heard, found = [], []

    def chained(number, frame):
        heard.append("chained")
        found[-1](number, frame)

    def callback(local, _):
        if stays and found:
            return signal.raise_signal(signal.SIGUSR1)
        found.append(signal.signal(signal.SIGUSR1, chained))
        if not stays:
            try:
                signal.raise_signal(signal.SIGUSR1)
            finally:
                signal.signal(signal.SIGUSR1, found[-1])
        return True

    model = ARS("LinearPolicy", "CartPole-v1", seed=0, n_delta=1, n_threads=1)
    for k in range(1, 3):
        with pytest.raises(Signalled):
            model.learn(10**9, callback)
        assert heard == ["chained"] * k
        assert signal.getsignal(signal.SIGUSR1) is (chained if stays else raising)
    with pytest.raises(Signalled):  # outside of fastars, too
        chained(signal.SIGUSR1, None)


def test_a_run_inside_a_callback_of_a_run_holds_and_lets_in(raising):
    heard = []

    def callback(local, _):
        inner = ARS("LinearPolicy", "CartPole-v1", seed=1, n_delta=1, n_threads=1)
        with pytest.raises(Signalled):
            inner.learn(10**9, lambda *_: signal.raise_signal(signal.SIGUSR1))
        heard.append(inner.iteration)
        signal.raise_signal(signal.SIGUSR1)

    model = ARS("LinearPolicy", "CartPole-v1", seed=0, n_delta=1, n_threads=1)
    with pytest.raises(Signalled):
        model.learn(10**9, callback)
    assert (heard, model.iteration) == ([1], 1)
    assert signal.getsignal(signal.SIGUSR1) is raising


def test_another_thread_has_no_signals_and_no_errors(raising):
    found = []

    def learn():
        with HeldSignals(), OpenSignals():
            let_signals_in()
        found.append(ARS("LinearPolicy", faulty_envs.Line, seed=0, n_delta=1).learn(1).iteration)

    thread = threading.Thread(target=learn)
    thread.start()
    thread.join()
    assert found == [1]


def test_a_fork_by_another_thread_has_the_users_handlers_again(raising):
    """The child has no thread that would end the context of its parent's main thread."""
    codes = []

    def fork():
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 2 if signal.getsignal(signal.SIGUSR1) is not raising else 3
                signal.raise_signal(signal.SIGUSR1)
            except Signalled:
                code = 0 if code == 3 else code
            os._exit(code)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    with HeldSignals():
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
    assert codes == [0]

"""Environments that go wrong in one way or another; worker processes import this module, too."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import gymnasium
import numpy as np

N_STEPS = 12
AT = 5  # the step in which things go wrong


class Line(gymnasium.Env):
    """A point on a line that the action pushes, `N_STEPS` steps long; every number depends on the seed."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seed, self.n_steps = seed or 0, 0  # vector environments reset without a seed, too
        self.x = self.np_random.uniform(-1.0, 1.0)
        return np.array([self.x, 1.0]), {}

    def step(self, action):
        self.n_steps += 1
        self.x += 0.3 * float(action[0])
        return np.array([self.x, 1.0]), -abs(self.x), self.n_steps == N_STEPS - self.seed % 3, False, {}


class Faulty(Line):
    """A `Line` on which `fault(env)` happens in step `AT` of the episodes whose seeds `is_bad` names, and gives what step returns.

    `once` is a folder: there it happens at the first attempt only.
    """

    def __init__(self, fault, n_bad=1, once=None):
        self.fault, self.n_bad, self.once = fault, n_bad, once

    def step(self, action):
        result = super().step(action)
        if self.seed < self.n_bad and self.n_steps == AT and self._is_first():
            return self.fault(result)
        return result

    def _is_first(self):
        if self.once is None:
            return True
        marker = Path(self.once) / str(self.seed)
        if marker.exists():
            return False
        marker.touch()
        return True


def raises(result):
    raise ArithmeticError("the floor gave way")


def exits(result):
    sys.exit("enough")


def forks(result):
    """Goes on twice, in two processes."""
    os.fork()
    return result


def gives_wrong_shape(result):
    return np.zeros(3), *result[1:]


def gives_one_number(result):
    return np.zeros(1), *result[1:]


def gives_four_values(result):
    return result[:4]


def gives_nothing(result):
    return None


def gives_text_as_reward(result):
    return result[0], "much", *result[2:]


def gives_array_as_end(result):
    return *result[:2], np.array([True, False]), *result[3:]


def gives_nan_observation(result):
    return np.array([np.nan, 1.0]), *result[1:]


def gives_infinite_observation(result):
    return np.array([0.0, -np.inf]), *result[1:]


def gives_huge_observation(result):
    return np.array([1e300, 1.0]), *result[1:]


def gives_nan_reward(result):
    return result[0], np.nan, *result[2:]


def gives_huge_reward(result):
    return result[0], 1.7e308, *result[2:]


def gives_infinite_reward(result):
    return result[0], np.inf, *result[2:]


def sleeps(result):
    time.sleep(1000)


def spins(result):
    while True:
        pass


def never_lets_go(result):
    """Hangs in C, without letting another thread run."""
    ctypes.PyDLL(None).sleep(1000)


def never_lets_go_and_hears_no_signal(result):
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    never_lets_go(result)


def stops(result):
    os.kill(os.getpid(), signal.SIGSTOP)
    return result


def runs_out_of_memory(result):
    """The next GiB is refused, as to a process that has used up its memory."""
    import resource

    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (1 << 28), resource.RLIM_INFINITY))
    return np.ones(1 << 27), *result[1:]


def prints_garbage(result):
    for fd in (1, 2):
        os.write(fd, bytes(range(256)) * 64)
    print("\x00 ready done", result)
    return result


def leaves(result):
    os._exit(3)


def crashes(result):
    ctypes.string_at(0)


def aborts(result):
    os.kill(os.getpid(), signal.SIGABRT)


def is_killed(result):
    os.kill(os.getpid(), signal.SIGKILL)


def is_terminated(result):
    os.kill(os.getpid(), signal.SIGTERM)


def leaves_from_a_thread(result):
    threading.Thread(target=os._exit, args=(4,)).start()
    time.sleep(1000)


class Odd(BaseException):
    """No `Exception`, so that `except Exception` does not catch it."""


def raises_keyboard_interrupt(result):
    raise KeyboardInterrupt("no key was pressed")


def raises_generator_exit(result):
    raise GeneratorExit("no generator")


def raises_odd(result):
    raise Odd("what is that?")


def recurses(result):
    recurses(result)


def make(fault, n_bad=1, once=None):
    """A function that makes such environments, in any process."""
    return partial(Faulty, fault, n_bad, once)


class Slow(Line):
    """A `Line` whose steps take a while."""

    def step(self, action):
        time.sleep(0.002)
        return super().step(action)


class HugeForItsSpace(Line):
    """A `Line` whose observations are float32, by its space."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)

    def step(self, action):
        observation, *rest = super().step(action)
        return np.array([1e300, 1.0]) if self.n_steps == AT else observation, *rest


class Hangs(Line):
    """A `Line` that hangs once, in a worker process: in "reset", in the "constructor", or after an error in step `AT` in "close" or
    in the "constructor again".
    """

    def __init__(self, where, folder):
        self.where, self.folder = where, Path(folder)
        self._pass("constructor")
        if self._has_raised():
            self._pass("constructor again")

    def _pass(self, where):
        if where == self.where and _is_worker() and not (self.folder / "hung").exists():
            (self.folder / "hung").touch()
            time.sleep(1000)

    def _has_raised(self):
        """Return True if an environment of this process has."""
        return (self.folder / f"raised {os.getpid()}").exists()

    def reset(self, *, seed=None, options=None):
        if seed == 0:
            self._pass("reset")
        return super().reset(seed=seed)

    def step(self, action):
        result = super().step(action)
        if self.where in ("close", "constructor again") and (self.seed, self.n_steps) == (0, AT) and not self._has_raised():
            (self.folder / f"raised {os.getpid()}").touch()
            raises(result)
        return result

    def close(self):
        if self._has_raised():
            self._pass("close")


def _is_worker():
    return b"fastars.samplers.worker" in Path("/proc/self/cmdline").read_bytes()


class Wide(Line):
    """A `Line` whose policies have 320 kB."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (40_000,), np.float64)

    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed)
        return np.resize(observation, 40_000), info

    def step(self, action):
        observation, *rest = super().step(action)
        return np.resize(observation, 40_000), *rest


class NeverCloses(Line):
    def close(self):
        if _is_worker():
            time.sleep(1000)


class SometimesRaises(Line):
    """A `Line` that raises in each step with a probability of 1 in 1,000, which of them its seed says."""

    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed)
        self.raises_in = self.np_random.geometric(0.001)
        return observation, info

    def step(self, action):
        result = super().step(action)
        if self.n_steps == self.raises_in:
            raise ArithmeticError(f"the floor gave way at {self.x!r}")
        return result


class Sometimes(Line):
    """A `Line` that raises in the episodes whose seeds say so, whoever runs them."""

    def step(self, action):
        if self.seed % 7 == 0 and self.n_steps == AT:
            raise ArithmeticError("the floor gave way")
        return super().step(action)


class OnlyHere(Line):
    """A `Line` that is only made in the process that imported pytest."""

    def __init__(self):
        if "pytest" not in sys.modules:
            raise RuntimeError("not in this process")


class Seldom(Line):
    """A `Line` with which `fault` happens in the episodes whose seeds say so, whoever runs them: in `reset` or in step `AT`."""

    def __init__(self, fault, where="step"):
        self.fault, self.where = fault, where

    def reset(self, *, seed=None, options=None):
        result = super().reset(seed=seed)
        if self.where == "reset" and seed is not None and seed % 17 == 0:
            self.fault(result)
        return result

    def step(self, action):
        result = super().step(action)
        if self.where == "step" and self.seed % 17 == 0 and self.n_steps == AT:
            self.fault(result)
        return result


def leaves_a_child_and_is_killed(result):
    subprocess.Popen(["sleep", "987654"])
    is_killed(result)

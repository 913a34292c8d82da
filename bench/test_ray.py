"""Two Ray actors with a CPU each, beside two threads or worker processes without Ray; and an iteration of almost no work."""

import contextlib
import functools

import numpy as np
import pytest

from bench import ray_measured
from bench.machine import THREADS
from bench.peers import optional
from bench.test_gym import Busy
from fastars import ARS

LOCAL, ON_RAY = "this process", f"{THREADS} Ray actors"

# Sockets and processes that Ray leaves to the end of the interpreter.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::FutureWarning"
)


@pytest.fixture(scope="module", autouse=True)
def cluster():
    optional("ray")
    with ray_measured.nodes(THREADS):
        yield


@contextlib.contextmanager
def both(env, **settings):
    """Make the same model in this process and on Ray, with all actors ready. Iterations of both do the same work."""
    more = {"policy": "LinearPolicy", "env": env, "seed": 0, "learning_rate": 0.0, **settings}
    local = {"n_threads": THREADS, "n_workers": None if isinstance(env, str) else THREADS}
    with (
        contextlib.closing(ARS(**more, **local)) as here,
        contextlib.closing(ARS(**more, sampler="ray", n_workers=THREADS)) as there,
    ):
        for model in (here, there):
            iterate(model)
        while len(there.sampler._actors.ready) < THREADS:
            iterate(there)
        for _ in range(there.iteration - here.iteration):
            iterate(here)
        np.testing.assert_array_equal(here.theta, there.theta)
        assert here.num_timesteps == there.num_timesteps
        yield {LOCAL: functools.partial(iterate, here), ON_RAY: functools.partial(iterate, there)}


def iterate(model):
    model.learn(1, log_interval=None, reset_num_timesteps=False)


@pytest.mark.parametrize(
    ("env", "n_delta"),
    [("HalfCheetah-v5", 64), (functools.partial(Busy, 100), 16), (functools.partial(Busy, 100), 128)],
    ids=["compiled", "python, small", "python"],
)
def test_two_actors_beside_two_of_this_machine(env, n_delta, race, record, quick):
    if env == "HalfCheetah-v5":
        optional("mujoco")
    steps = {} if isinstance(env, str) else {"max_episode_steps": 200}
    with both(env, n_delta=4 if quick else n_delta, **steps) as competitors:
        seconds = race(competitors, budget=20.0)
    name = env if isinstance(env, str) else "in Python, 100 us a step"
    record(kind="throughput", env=name, n_delta=n_delta, seconds=seconds, target=0.9)


def test_an_iteration_of_next_to_no_work(race, record):
    """Measure the cost of Ray and the driver: episodes of CartPole-v1 with 2 directions take only 0.1 ms."""
    with both("CartPole-v1", n_delta=THREADS) as competitors:
        seconds = race(competitors, budget=5.0)
    record(kind="overhead", env="CartPole-v1", n_delta=THREADS, seconds=seconds, target=0.015)

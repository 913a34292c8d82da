"""Every sampler has the whole interface, and its rollouts count what went wrong in that evaluation.

Broken on purpose: an argument of `evaluate` left out or renamed -> test_every_sampler red; counts that go on from one evaluation to
the next -> test_counts_are_of_one_evaluation red.
"""

import contextlib
import inspect
import os

import faulty_envs
import numpy as np
import pytest

from fastars._compiled.structs import LinearPolicy, identity_filter
from fastars.envs import environment
from fastars.samplers import Sampler, make_sampler
from fastars.samplers.compiled import CompiledSampler
from fastars.samplers.env_tuple import EnvTupleSampler
from fastars.samplers.gym import GymSampler
from fastars.samplers.ray import RaySampler
from fastars.samplers.reference import ReferenceSampler

SEEDS = np.arange(4, dtype=np.uint64)


def simulated():
    pytest.importorskip("mujoco")
    from fastars.samplers.simulated import SimulatedSampler

    return SimulatedSampler


SAMPLERS = [CompiledSampler, EnvTupleSampler, GymSampler, RaySampler, ReferenceSampler, simulated]
MEMBERS = [name for name in vars(Sampler) if not name.startswith("_")]


@pytest.mark.parametrize("kind", SAMPLERS, ids=lambda kind: kind.__name__)
def test_every_sampler_has_the_whole_interface(kind):
    kind = kind() if kind is simulated else kind
    assert MEMBERS == ["description", "takes_perturbed", "evaluate", "start", "close"]
    assert isinstance(kind.takes_perturbed, bool)
    assert isinstance(kind.description, (str, property))
    for name in ("evaluate", "start", "close"):
        wanted, found = (inspect.signature(getattr(which, name)).parameters for which in (Sampler, kind))
        assert [(each.name, each.default) for each in found.values()] == [(each.name, each.default) for each in wanted.values()]


@pytest.mark.parametrize(
    "env", ["CartPole-v1", faulty_envs.Line, ["CartPole-v1", "CartPole-v0"]], ids=["compiled", "in Python", "tuple"]
)
def test_start_and_close_may_be_called_at_any_time(env):
    found = environment(env)
    sampler = make_sampler(found, LinearPolicy(), n_threads=1)
    arguments = np.zeros((2, found.n_obs * found.n_act)), identity_filter(found.n_obs), SEEDS, True
    returns = []
    for _ in range(2):
        sampler.start()
        sampler.start(wait=True)
        returns.append(sampler.evaluate(*arguments).returns)
        sampler.close()
        sampler.close()
    np.testing.assert_array_equal(*returns)


@pytest.mark.skipif(os.name != "posix", reason="worker processes need POSIX")
@pytest.mark.parametrize(
    ("n_workers", "fault", "n_failures", "n_restarts"),
    [(1, faulty_envs.raises, 1, 0), (2, faulty_envs.leaves, 0, 1)],  # an episode that ends a process once may not be the cause
)
def test_counts_are_of_one_evaluation(tmp_path, n_workers, fault, n_failures, n_restarts):
    env = environment(faulty_envs.make(fault, once=tmp_path), compiled=False)
    arguments = np.zeros((2, 2)), identity_filter(2), SEEDS, False
    failures = []
    with contextlib.closing(GymSampler(env, env.rollout_spec(LinearPolicy()), n_workers)) as sampler:
        first, second = (sampler.evaluate(*arguments, on_failure=failures.append) for _ in range(2))
    assert (first.n_failures, first.n_restarts, len(failures)) == (n_failures, n_restarts, n_failures)
    assert (second.n_failures, second.n_restarts) == (0, 0)

"""Vector environments of classic control: threads change no bit, and actions may lie in memory as they like.

Broken on purpose, each seen red: a block that steps all chunks; one thread only; actions given to the kernel as they lie in memory;
a look at the first actions only.
"""

import copy

import numba
import numpy as np
import pytest
from gymnasium import make_vec
from watched_blocks import watched_blocks

from fastars import compiled_env_ids
from fastars._compiled.lane_rows import LANES
from fastars.envs import batches

IDS = [*compiled_env_ids("classic"), "fastars/water-reservoir-v0"]
N = 4 * LANES + 3  # five chunks, the last of them not full


@pytest.fixture
def any_work_is_worth_a_thread(monkeypatch):
    """And a block is as small as it can be."""
    monkeypatch.setattr(batches, "_THREAD_SECONDS", 1e-12)
    monkeypatch.setattr(batches, "_BLOCK_SECONDS", 1e-12)


def made(env_id, n=N, **kwargs):
    envs = make_vec(env_id if env_id.startswith("fastars/") else f"fastars/{env_id}", n, **kwargs)
    envs.reset(seed=3)
    return envs


def assert_same_steps(envs, other, n_steps):
    envs.action_space.seed(0)
    for _ in range(n_steps):
        actions = envs.action_space.sample()
        for ours, theirs in zip(envs.step(actions)[:4], other.step(actions)[:4], strict=True):
            assert ours.tobytes() == theirs.tobytes()


@pytest.mark.usefixtures("any_work_is_worth_a_thread")
@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize("env_id", IDS)
def test_threads_change_no_bit(env_id, mode):
    settings = {"autoreset_mode": mode, "max_episode_steps": 15}
    envs, others = made(env_id, n_threads=1, **settings), [made(env_id, n_threads=n, **settings) for n in (2, 64)]
    for other in others:
        assert_same_steps(copy.deepcopy(envs), other, 40)  # episodes end and begin in between


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="Python's code runs on one thread")
@pytest.mark.usefixtures("any_work_is_worth_a_thread")
def test_two_threads_step_where_it_is_worth_it(monkeypatch):
    envs, used = made("Acrobot-v1", n_threads=2), watched_blocks(monkeypatch, batches)
    actions = np.zeros(N, np.int64)
    envs.step(actions)  # on one thread: nobody knows how long it takes
    envs.step(actions)
    assert len({thread for _, thread in used}) == 2


def as_they_lie(actions):
    """Yield the same actions, in other places and types."""
    yield np.repeat(actions, 2, axis=0)[::2]
    yield actions[::-1].copy()[::-1]
    yield np.asfortranarray(np.stack([actions, actions], axis=1))[:, 0]
    yield actions.astype(actions.dtype.newbyteorder())
    memory = np.empty(actions.nbytes + 1, np.uint8)[1:]
    memory[:] = np.frombuffer(actions.tobytes(), np.uint8)
    yield memory.view(actions.dtype).reshape(actions.shape)
    frozen = actions.copy()
    frozen.setflags(write=False)
    yield frozen
    yield np.ma.masked_array(actions)
    yield actions.tolist()
    yield actions.astype(np.int32 if actions.dtype.kind == "i" else np.float64)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_actions_may_lie_in_memory_as_they_like(env_id):
    envs = made(env_id)
    envs.action_space.seed(1)
    actions = envs.action_space.sample()
    copies = [copy.deepcopy(envs) for _ in as_they_lie(actions)]
    expected = envs.step(actions)
    for other, given in zip(copies, as_they_lie(actions), strict=True):
        for ours, theirs in zip(other.step(given)[:4], expected[:4], strict=True):
            assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize(
    "wrong", [np.int8(-1), np.uint8(2), np.int64(-(2**63)), np.int64(2**63 - 1), np.uint64(2**64 - 1), np.uint64(2**63)]
)
@pytest.mark.parametrize("place", [0, LANES, N - 1])
def test_one_wrong_action_steps_no_environment(wrong, place):
    envs = made("CartPole-v1")
    before = copy.deepcopy(envs)
    actions = np.ones(N, wrong.dtype)
    actions[place] = wrong
    with pytest.raises(ValueError, match=f"actions must be integers from 0 to 1, got {wrong} for environment {place}"):
        envs.step(actions)
    assert_same_steps(envs, before, 3)

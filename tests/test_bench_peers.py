"""The comparison of a peer's steps with Gymnasium's sees a wrong step, and a process of a peer says why it fails.

Broken on purpose: steps after the end of an episode compared, too -> test_steps_that_only_reset...; a tolerance of 0.01 ->
test_a_wrong_step...; the angles of Acrobot taken from its cosines -> test_gymnasiums_own_steps...[Acrobot-v1]; an answer that is
not looked at, and a failure without its traceback -> test_a_process...; of two interpreters the last one, and a peer without its
sources -> test_each_version....
"""

import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import peers
from bench.peer_physics import assert_same_steps

ENVS = ("Acrobot-v1", "CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1")


def traced(env_id, n_steps=20):
    """Return a trace of two environments with random actions; after the end of an episode, a step only resets."""
    columns = []
    for k in range(2):
        env, rows, was_ended = gymnasium.make(env_id), [], False
        env.action_space.seed(k)
        before, _ = env.reset(seed=k)
        for _ in range(n_steps):
            action = env.action_space.sample()
            if was_ended:
                after, ended = env.reset()[0], False
            else:
                after, _, terminated, truncated, _ = env.step(action)
                ended = terminated or truncated
            rows.append((before, np.asarray(action), after, not was_ended))
            before, was_ended = after, ended
        columns.append([np.array(column) for column in zip(*rows, strict=True)])
    return [np.stack(pair, axis=1) for pair in zip(*columns, strict=True)]


@pytest.mark.parametrize("env_id", ENVS)
def test_gymnasiums_own_steps_are_the_same(env_id):
    assert assert_same_steps(env_id, traced(env_id)) >= 20


@pytest.mark.parametrize("env_id", ENVS)
def test_a_wrong_step_is_seen(env_id):
    before, actions, after, counts = traced(env_id)
    after[7, 1, -1] += 0.002 * max(1.0, abs(after[7, 1, -1]))
    with pytest.raises(AssertionError):
        assert_same_steps(env_id, (before, actions, after, counts))


def test_steps_that_only_reset_are_not_compared():
    trace = traced("CartPole-v1", 60)
    n_resets = int((~trace[3]).sum())
    assert n_resets > 0
    assert assert_same_steps("CartPole-v1", trace) == 120 - n_resets


def test_a_process_of_a_peer_says_why_it_fails():
    with pytest.raises(RuntimeError, match="KeyError: 'nobody'"):
        peers.Peer(sys.executable, "nobody", {})


def test_each_version_of_a_peer_is_a_competitor(monkeypatch):
    """Of two interpreters with the same version, the first is taken."""
    has = [
        ("a", "Python 3.13", {"envpool": "2.0"}),
        ("b", "Python 3.11", {"envpool": "1.0"}),
        ("c", "Python 3.12", {"envpool": "2.0"}),
    ]
    monkeypatch.setattr(peers, "interpreters", lambda: has)
    assert peers.versions("EnvPool") == {"EnvPool 2.0, Python 3.13": "a", "EnvPool 1.0, Python 3.11": "b"}
    assert peers.versions("gymnax") == {}
    monkeypatch.delenv(peers.PUFFERLIB, raising=False)
    assert peers.versions("PufferLib") == {}
    assert peers.PUFFERLIB in peers.why_missing("PufferLib")

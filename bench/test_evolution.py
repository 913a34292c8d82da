"""ARS of evosax (JAX) beside ours: an iteration without rollouts, and on CartPole-v1, where its episodes are gymnax's."""

import numpy as np
import pytest

from bench import peers
from bench.machine import THREADS
from fastars import ARS, reference
from fastars.callbacks import EveryIteration

ENV, SIGMA, RATE = "CartPole-v1", 0.05, 1e-3
SIZES = {"LinearPolicy": (None, 8), "[64, 64]": ([64, 64], 64), "[300, 300]": ([300, 300], 32)}
ASK_AND_TELL, ON_CARTPOLE = "evosax, ask and tell", "evosax on CartPole"


def evosax(kind, **settings):
    """Return (name, peer) of evosax, or None."""
    settings |= {"learning_rate": RATE, "sigma": SIGMA}
    for name, python in peers.versions("evosax").items():
        return name, peers.Peer(python, kind, settings)
    return None


def ours(net_arch, n_delta, **settings):
    policy = ("LinearPolicy", None) if net_arch is None else ("MlpPolicy", {"net_arch": net_arch})
    settings |= {"n_delta": n_delta, "n_top": n_delta // 2, "delta_std": SIGMA, "learning_rate": RATE}
    return ARS(policy[0], ENV, policy_kwargs=policy[1], seed=0, n_threads=THREADS, normalize_observations=False, **settings)


def missing(record):
    record(kind="missing", peer="evosax", reason=peers.why_missing("evosax"))


def assert_same_update(update, n_delta):
    """Compare evosax's update with the equation of the paper, from its own candidates and returns."""
    candidates, returns, before, after = (np.float64(each) for each in update)
    pairs = returns.reshape(2, n_delta).T
    selected = reference.top_directions(pairs, n_delta // 2, False)
    std = reference.return_std(pairs, selected, 0)
    weights = reference.direction_weights(pairs, selected, n_delta // 2, std, 0.0)
    directions = (candidates[:n_delta] - before) / SIGMA
    np.testing.assert_allclose(after - before, RATE * weights @ directions[selected], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("policy", SIZES)
def test_iteration_without_rollouts(policy, race, record):
    net_arch, n_delta = SIZES[policy]
    model = ours(net_arch, n_delta)
    n_weights, returns = len(model.theta), np.random.default_rng(0).standard_normal(2 * n_delta)
    found = evosax(ASK_AND_TELL, n_candidates=2 * n_delta, n_weights=n_weights)
    if found is None:
        missing(record)
        return
    name, peer = found
    assert_same_update(peer.ask("update"), n_delta)

    def ask_and_tell():
        model.ask()
        model.tell(returns)

    seconds = race({"fastars": ask_and_tell, name: peer}, budget=3.0)
    peer.close()
    record(kind="update", policy=policy, n_weights=n_weights, n_delta=n_delta, seconds=seconds)


@pytest.mark.parametrize("n_delta", [8, 256])
def test_iterations_on_cartpole(n_delta, race, record, quick):
    """Race iterations around a policy that keeps the pole up: an episode of nearly every candidate takes 500 steps."""
    theta = ARS("LinearPolicy", ENV, n_delta=8, seed=1, normalize_observations=False, delta_std=SIGMA).learn(200_000).theta
    model, n_iterations = ours(None, n_delta), 2 if quick else 1_600 // n_delta
    model.policy.load_from_vector(theta)
    found = evosax(ON_CARTPOLE, n_candidates=2 * n_delta, n_iterations=n_iterations, theta=theta)
    if found is None:
        missing(record)
        return
    name, peer = found

    def learn():
        last = model.iteration + n_iterations
        stop = EveryIteration(lambda *_: model.iteration < last)
        model.learn(10**9, stop, reset_num_timesteps=False, log_interval=0)

    before = model.num_timesteps, model.iteration
    seconds = race({"fastars": learn, name: peer}, budget=4.0)
    n_steps = (model.num_timesteps - before[0]) / (model.iteration - before[1])
    returns = {"fastars": n_steps / (2 * n_delta), name: peer.ask("mean_return")}
    peer.close()
    assert min(returns.values()) > 450
    each = {key: value / n_iterations for key, value in seconds.items()}
    record(kind="cartpole", n_delta=n_delta, mean_return=returns, seconds=each)

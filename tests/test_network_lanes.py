"""Networks side by side in lanes: an episode has the bits of the same episode alone, whatever its neighbours and their number are.

Broken on purpose: lanes that keep the network of the episode before -> the tests of bits red.
"""

import numpy as np
import pytest

from fastars import kernels, reference
from fastars._compiled.structs import MlpPolicy, Relu, Tanh, empty_rollouts
from fastars.envs import compiled_env
from fastars.kernels.network_lanes import most_lanes
from fastars.kernels.policy_layout import n_weights
from fastars.kernels.rollout_lanes import roll_out

N_EPISODES = 21  # the lanes are full, take further episodes, and run empty
CARTPOLE, CAR = compiled_env("CartPole-v1"), compiled_env("MountainCarContinuous-v0")
TWO_LAYERS = [(16, 16), (5, 9), (4, 3), (1, 34), (64, 64), (87, 87)]


def case(env, policy, n_candidates=N_EPISODES):
    """Return (spec, filter, weights, seeds) of `N_EPISODES` episodes that end at different times."""
    draw = np.random.default_rng(len(policy.net_arch) * 100 + policy.net_arch[0])
    weights = 0.5 * draw.standard_normal((n_candidates, n_weights(policy, env.n_obs, env.n_act)))
    filter = kernels.Filter(draw.normal(0, 0.1, env.n_obs), draw.uniform(0.5, 2.0, env.n_obs), 5.0)
    return env.rollout_spec(policy), filter, weights, draw.integers(0, 2**32, N_EPISODES, np.uint64)


def blocks(spec, filter, weights, seeds, size):
    """Run the episodes in blocks of `size`, and return all arrays of the results."""
    out = empty_rollouts(len(seeds), len(filter.mean), True)
    for start in range(0, len(seeds), size):
        roll_out(spec, filter, weights, seeds, start, min(start + size, len(seeds)), out)
    return [out.returns, out.lengths, out.status, *out.moments]


@pytest.mark.parametrize("net_arch", TWO_LAYERS, ids=str)
def test_episodes_beside_others_have_the_bits_of_episodes_alone(net_arch):
    of_case = case(CARTPOLE, MlpPolicy(net_arch, Tanh()))
    alone = blocks(*of_case, size=1)
    assert len(set(alone[1])) > 2
    for size in (3, 7, N_EPISODES):
        for found, expected in zip(blocks(*of_case, size=size), alone, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_episodes_of_one_candidate_have_the_bits_of_episodes_alone():
    of_case = case(CARTPOLE, MlpPolicy((5, 9), Tanh()), n_candidates=N_EPISODES // 3)
    for found, expected in zip(blocks(*of_case, size=N_EPISODES), blocks(*of_case, size=1), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("n_units", [1, 6, 40])
def test_lanes_have_the_bits_of_the_twin(n_units, with_bias):
    spec, filter, weights, seeds = case(CAR, MlpPolicy((n_units,), Relu(), with_bias))
    spec = spec._replace(max_steps=30)
    returns, lengths, *_ = blocks(spec, filter, weights, seeds, size=N_EPISODES)
    twin = reference.rollouts(spec, filter, weights, seeds, False)
    np.testing.assert_array_equal(lengths, twin.lengths)
    np.testing.assert_array_equal(returns, twin.returns)


def test_the_largest_networks_have_no_neighbours():
    assert [most_lanes(MlpPolicy(net_arch), 4, 2) for net_arch in [(64, 64), (86, 86), (87, 87)]] == [8, 8, 1]

"""Env steps per second on CartPole with networks: the kernel, the limit of the layers' arithmetic, the twin.

The limit counts the products and sums of the layers alone. A second one also counts the arithmetic of the activations, with a
division as one operation. Neither knows of physics, nor of the caches that weights come from.
"""

import itertools

import numpy as np
import pytest

from bench import lanes
from bench.machine import THREADS
from fastars import reference
from fastars._compiled.structs import MlpPolicy, Relu, Tanh, identity_filter
from fastars._compiled.tables import aligned
from fastars.envs import compiled_env
from fastars.kernels.policy_layout import layer_sizes, n_weights
from fastars.samplers.compiled import CompiledSampler

ENV = compiled_env("CartPole-v1")
N_CANDIDATES, N_PLAIN, N_NUMBERS = 2_048, 4, 256
AIMS = {"relu": {16: 0.4, 32: 0.4, 64: 0.4}, "tanh": {16: 0.3, 32: 0.4, 64: 0.45}}  # of the limit
ACTIVATION_FLOPS = {"relu": 1, "tanh": 36}  # for each hidden unit
KERNEL, ONE_THREAD, TWIN, LIMIT = f"fastars, {THREADS} threads", "fastars, 1 thread", "NumPy twin", "limit, 1 thread"
WITH_ACTIVATIONS = "limit with activations, 1 thread"


def networks(policy, n):
    """Return weights (n, n_weights) and seeds. Two units of each hidden layer pass on a linear policy that keeps the pole up."""
    draw = np.random.default_rng(0)
    sizes, layers = layer_sizes(policy, ENV.n_obs, ENV.n_act), []
    for n_in, n_out in itertools.pairwise(sizes):
        matrix = 0.02 * draw.standard_normal((n, n_out, n_in))
        if n_in == ENV.n_obs:
            matrix[:, 0], matrix[:, 1] = [0.1, 0.3, 3.0, 1.0], [-0.1, -0.3, -3.0, -1.0]
        else:
            matrix[:, 0, :2], matrix[:, 1, :2] = ([1.0, -1.0], [-1.0, 1.0]) if n_out > 2 else ([-1.0, 1.0], [1.0, -1.0])
        layers += [matrix.reshape(n, -1), np.zeros((n, n_out))]
    weights = np.concatenate(layers, axis=1)
    assert weights.shape[1] == n_weights(policy, ENV.n_obs, ENV.n_act)
    return weights, draw.integers(0, 2**32, n, np.uint64)


def flops(policy):
    """Return the products and sums of the layers, two per weight, without activations, filter and physics."""
    sizes = layer_sizes(policy, ENV.n_obs, ENV.n_act)
    return 2 * sum(n_in * n_out for n_in, n_out in itertools.pairwise(sizes))


@pytest.mark.parametrize("activation", [Relu(), Tanh()], ids=["relu", "tanh"])
@pytest.mark.parametrize("net_arch", [(64, 64), (32, 32), (16, 16)], ids=str)
def test_networks_on_cartpole(net_arch, activation, race, record, quick):
    policy, unfiltered = MlpPolicy(net_arch, activation), identity_filter(ENV.n_obs)
    weights, seeds = networks(policy, 64 if quick else N_CANDIDATES)
    task, few = ENV.rollout_spec(policy), slice(N_PLAIN)
    samplers = {n: CompiledSampler(task, n) for n in (1, THREADS)}
    full = samplers[1].evaluate(weights, unfiltered, seeds, False)
    plain = reference.rollouts(task, unfiltered, weights[few], seeds[few], False)
    np.testing.assert_array_equal(full.lengths[few], plain.lengths)
    assert full.lengths.mean() > 200
    name, numbers, n_passes = type(activation).__name__.lower(), aligned(N_NUMBERS), 20_000
    seconds = race(
        {
            KERNEL: lambda: samplers[THREADS].evaluate(weights, unfiltered, seeds, False),
            ONE_THREAD: lambda: samplers[1].evaluate(weights, unfiltered, seeds, False),
            LIMIT: lambda: lanes.multiply_and_add(numbers, 0.9, 0.1, n_passes),
            TWIN: lambda: reference.rollouts(task, unfiltered, weights[few], seeds[few], False),
        },
        budget=6.0,
    )
    n_steps = int(full.lengths.sum())
    rates = {name: n_steps / seconds[name] for name in (KERNEL, ONE_THREAD)}
    rates[TWIN] = int(plain.lengths.sum()) / seconds[TWIN]
    peak, n_flops = N_NUMBERS * n_passes * lanes.PEAK_FLOPS / seconds[LIMIT], flops(policy)
    rates[LIMIT] = peak / n_flops
    rates[WITH_ACTIVATIONS] = peak / (n_flops + ACTIVATION_FLOPS[name] * sum(net_arch))
    record(
        net_arch=net_arch,
        activation=name,
        mean_length=n_steps / len(seeds),
        target=AIMS[name][net_arch[0]],
        flops=n_flops,
        steps_per_s=rates,
    )

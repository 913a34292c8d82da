"""A network of one's own with a million weights: candidates are made one at a time, and no array holds all of them.

The network is plain NumPy in float32. ARS knows only its number of weights: what they mean is the loop's business.
`python examples/large_policy.py 3000` trains one of nine million weights.
"""

import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is imported: two threads wait for each other at each step

import gymnasium
import numpy as np

from fastars import ARS

WIDTH = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
SHAPES = [(WIDTH, 4), (WIDTH,), (WIDTH, WIDTH), (WIDTH,), (2, WIDTH), (2,)]  # of matrices and biases; the last ones make scores
SIZES = [int(np.prod(shape)) for shape in SHAPES]


class Weights(gymnasium.Env):
    """Stands for a policy of n weights. Nothing steps it: the episodes are the loop's."""

    def __init__(self, n):
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (n,))
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))


class Network:
    """Layers that are views of one vector: who writes to the vector changes the network."""

    def __init__(self):
        self.vector = np.zeros(sum(SIZES), np.float32)
        parts = np.split(self.vector, np.cumsum(SIZES[:-1]))
        parts = [part.reshape(shape) for part, shape in zip(parts, SHAPES, strict=True)]
        self.layers = list(zip(parts[::2], parts[1::2], strict=True))

    def draw(self, rng):
        """Weights as networks begin: N(0, 1 / inputs), and no scores yet."""
        for W, _ in self.layers[:-1]:
            W[:] = rng.standard_normal(W.shape) / np.sqrt(W.shape[1])

    def act(self, observation):
        h = observation
        for W, b in self.layers[:-1]:
            h = np.tanh(W @ h + b)
        W, b = self.layers[-1]
        return np.argmax(W @ h + b)


env, network = gymnasium.make("CartPole-v1"), Network()
network.draw(np.random.default_rng(0))


def episode(seed):
    """The return of an episode, which is its length."""
    observation, _ = env.reset(seed=seed)
    total, ended = 0.0, False
    while not ended:
        observation, reward, terminated, truncated, _ = env.step(network.act(observation))
        total, ended = total + reward, terminated or truncated
    return total


def test():
    """The mean return of 10 episodes that training does not see."""
    return np.mean([episode(seed) for seed in range(1000, 1010)])


untrained = test()
model = ARS("LinearPolicy", Weights(sum(SIZES)), init=network.vector, n_delta=8, delta_std=0.02, learning_rate=0.02, seed=0)
for iteration in range(10):
    candidates, returns = model.ask(lazy=True), []
    for k in range(len(candidates)):
        candidates.write(k, network.vector)  # theta + sigma delta, or theta - sigma delta, rounded to float32
        returns.append(episode(seed=iteration))
    model.tell(returns, n_steps=int(sum(returns)))

network.vector[:] = model.theta
print(f"{sum(SIZES):,} weights, {model.num_timesteps:,} steps: mean return {untrained:.0f} untrained, {test():.0f} trained")

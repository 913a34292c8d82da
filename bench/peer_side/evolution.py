"""evosax: its ARS beside ours, alone and with gymnax's CartPole.

The optimiser is plain gradient descent, as in the paper; evosax takes the better half of the directions, and minimises.
"""

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from evosax.algorithms import ARS
from evosax.problems import GymnaxProblem
from flax import linen


def algorithm(n_candidates, n_weights, learning_rate, sigma):
    schedule = optax.constant_schedule(sigma)
    made = ARS(n_candidates, jnp.zeros(n_weights), optax.sgd(learning_rate), schedule)
    return made, made.default_params


class AskAndTell:
    """An iteration without rollouts: two compiled calls, with returns that are there already."""

    def __init__(self, n_candidates, n_weights, learning_rate, sigma):
        self.algorithm, self.params = algorithm(n_candidates, n_weights, learning_rate, sigma)
        self.key = jax.random.key(0)
        self.state = self.algorithm.init(self.key, jnp.zeros(n_weights), self.params)
        self.fitness = jnp.asarray(np.random.default_rng(0).standard_normal(n_candidates), jnp.float32)

    def run(self):
        self.key, first, second = jax.random.split(self.key, 3)
        candidates, state = self.algorithm.ask(first, self.state, self.params)
        self.state, _ = self.algorithm.tell(second, candidates, self.fitness, state, self.params)
        jax.block_until_ready(self.state)
        return 0

    def update(self):
        """Return candidates, their returns (the negative fitness), and the mean before and after an update."""
        before = self.state.mean
        candidates, state = self.algorithm.ask(self.key, self.state, self.params)
        after, _ = self.algorithm.tell(self.key, candidates, self.fitness, state, self.params)
        return [np.asarray(each) for each in (candidates, -self.fitness, before, after.mean)]


class Linear(linen.Module):
    """A linear policy without bias for two actions."""

    @linen.compact
    def __call__(self, observation, key=None):
        return jnp.argmax(linen.Dense(2, use_bias=False)(observation))


class OnCartPole:
    """Iterations on CartPole-v1 of gymnax, `n_iterations` in one compiled program. Every candidate takes 500 steps.

    An episode that has ended goes on without reward. Observations are not normalised, as in V1 of the paper.
    """

    def __init__(self, n_candidates, n_iterations, theta, learning_rate, sigma):
        self.problem = GymnaxProblem("CartPole-v1", Linear(), use_normalize_obs=False)
        theta = jnp.asarray(theta, jnp.float32).reshape(2, 4).T
        self.solution = jax.tree.map(lambda leaf: theta.reshape(leaf.shape), self.problem.sample(jax.random.key(0)))
        schedule = optax.constant_schedule(sigma)
        self.algorithm = ARS(n_candidates, self.solution, optax.sgd(learning_rate), schedule)
        self.params, self.key = self.algorithm.default_params, jax.random.key(1)
        self.state = self.algorithm.init(self.key, self.solution, self.params)
        self.n_steps = n_candidates * n_iterations * gymnax.make("CartPole-v1")[1].max_steps_in_episode
        self.program = jax.jit(lambda key, state, of: jax.lax.scan(self.iterate, (state, of), jax.random.split(key, n_iterations)))
        self.of_problem = self.problem.init(self.key)

    def iterate(self, carry, key):
        state, of_problem = carry
        first, second, third = jax.random.split(key, 3)
        candidates, state = self.algorithm.ask(first, state, self.params)
        returns, of_problem, _ = self.problem.eval(second, candidates, of_problem)
        state, _ = self.algorithm.tell(third, candidates, -returns, state, self.params)
        return (state, of_problem), returns.mean()

    def run(self):
        self.key, now = jax.random.split(self.key)
        (self.state, self.of_problem), self.returns = self.program(now, self.state, self.of_problem)
        jax.block_until_ready(self.returns)
        return self.n_steps

    def mean_return(self):
        """Return the mean over the candidates of the last repetition."""
        return float(self.returns.mean())

"""gymnax: environments and policies in one compiled JAX program."""

import gymnax
import jax
import jax.numpy as jnp
import numpy as np


class Gymnax:
    """Environments with a linear policy each, `n_steps` steps in a repetition."""

    def __init__(self, env_id, n_envs, n_steps, policy):
        self.env, self.params = gymnax.make(env_id)
        self.matrix, self.low, self.high = (jnp.asarray(each, jnp.float32) for each in policy[:3])
        self.is_discrete, self.n_envs, self.n_steps = policy[3], n_envs, n_steps
        self.keys = jax.random.split(jax.random.key(0), n_envs)
        self.program = jax.jit(jax.vmap(self.many))

    def run(self):
        jax.block_until_ready(self.program(self.keys, self.matrix))
        return self.n_envs * self.n_steps

    def act(self, policy, observation):
        scores = policy @ observation
        return jnp.argmax(scores) if self.is_discrete else jnp.clip(scores, self.low, self.high)

    def many(self, key, policy):
        key, first = jax.random.split(key)
        observation, state = self.env.reset(first, self.params)

        def advance(carry, _):
            key, observation, state, total = carry
            key, now = jax.random.split(key)
            outcome = self.env.step(now, state, self.act(policy, observation), self.params)
            return (key, outcome[0], outcome[1], total + outcome[2]), None

        carry, _ = jax.lax.scan(advance, (key, observation, state, jnp.float32(0.0)), None, length=self.n_steps)
        # The last observation too: where every reward is -1, XLA sees that the sum needs no physics and leaves it out.
        return carry[1], carry[3]

    def trace(self, n_steps):
        """Return observations before and after, actions, and which steps count: all, the reset comes after the last observation."""
        act = jax.jit(jax.vmap(self.act))
        step = jax.jit(jax.vmap(lambda key, state, action: self.env.step(key, state, action, self.params)))
        observations, state = jax.vmap(lambda key: self.env.reset(key, self.params))(self.keys)
        rows = []
        for _ in range(n_steps):
            actions = act(self.matrix, observations)
            following, state, *_, info = step(self.keys, state, actions)
            rows.append((observations, actions, info["final_observation"], np.ones(self.n_envs, bool)))
            observations = following
        return [np.array([np.asarray(each) for each in column]) for column in zip(*rows, strict=True)]

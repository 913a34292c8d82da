"""Environments and trainers of other packages. A function skips the test, with the reason, if its package is not installed."""

import importlib

import numpy as np
import pytest

BATCH = 1024  # environments side by side, for the libraries that work so


def optional(module):
    """Return the module, or skip the test with the reason."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        pytest.skip(f"{module} can't be imported: {error}")


def linear_policy(task, weights):
    """Return a function from observations (n, n_obs) to actions of n linear policies without bias, weights (n, n_act * n_obs)."""
    matrix = weights.reshape(len(weights), len(task.low), -1)
    discrete = type(task.actions).__name__ == "Argmax"

    def act(observations):
        scores = (matrix @ observations[:, :, np.newaxis])[:, :, 0]
        return scores.argmax(axis=1) if discrete else np.clip(scores.astype(np.float32), task.low, task.high)

    return act


def envpool_steps(env_id, task, weights, n_steps, threads):
    """Return a function that takes `n_steps` steps of `BATCH` environments of EnvPool."""
    envpool = optional("envpool")
    if env_id not in envpool.list_all_envs():
        pytest.skip(f"EnvPool has no {env_id}")
    envs = envpool.make_gymnasium(env_id, num_envs=BATCH, num_threads=threads, seed=0)
    return _vector_steps(envs, linear_policy(task, weights[:BATCH]), n_steps)


def gymnasium_vector_steps(env_id, task, weights, n_steps):
    """Return a function that takes `n_steps` steps of `BATCH` environments in Gymnasium's own vectorised form, if it has one."""
    import gymnasium

    if gymnasium.spec(env_id).vector_entry_point is None:
        pytest.skip(f"Gymnasium has no vectorised {env_id}")
    envs = gymnasium.make_vec(env_id, num_envs=BATCH, vectorization_mode="vector_entry_point")
    return _vector_steps(envs, linear_policy(task, weights[:BATCH]), n_steps)


def _vector_steps(envs, act, n_steps):
    observations, _ = envs.reset()
    last = [observations]

    def run():
        for _ in range(n_steps):
            last[0] = envs.step(act(last[0]))[0]

    return run


def gymnax_steps(env_id, task, weights, n_steps):
    """Return a function that takes `n_steps` steps of `BATCH` environments of gymnax, in one compiled JAX program."""
    gymnax, jax = optional("gymnax"), optional("jax")
    if env_id not in gymnax.registered_envs:
        pytest.skip(f"gymnax has no {env_id}")
    env, params = gymnax.make(env_id)
    jnp = jax.numpy
    discrete = type(task.actions).__name__ == "Argmax"
    n_act = len(task.low)
    matrix = jnp.asarray(weights[:BATCH].reshape(BATCH, n_act, -1), jnp.float32)
    low, high = jnp.asarray(task.low), jnp.asarray(task.high)

    def one(key, policy):
        key, first = jax.random.split(key)
        observation, state = env.reset(first, params)

        def advance(carry, _):
            key, observation, state, total = carry
            key, now = jax.random.split(key)
            action_scores = policy @ observation
            action = jnp.argmax(action_scores) if discrete else jnp.clip(action_scores, low, high)
            outcome = env.step(now, state, action, params)
            observation, state, reward = outcome[0], outcome[1], outcome[2]
            return (key, observation, state, total + reward), None

        carry, _ = jax.lax.scan(advance, (key, observation, state, jnp.float32(0.0)), None, length=n_steps)
        # The last observation too: where every reward is -1, XLA sees that the sum needs no physics and leaves it out.
        return carry[1], carry[3]

    program = jax.jit(jax.vmap(one))
    keys = jax.random.split(jax.random.key(0), BATCH)
    return lambda: jax.block_until_ready(program(keys, matrix))

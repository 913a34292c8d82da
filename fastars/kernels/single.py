"""One environment of scalar functions, one call per step: for environments whose Gymnasium form runs the compiled functions."""

from fastars._compiled.jit import kernel
from fastars._compiled.protocol import observe, reset, step


@kernel
def first_state(env, rng):
    """Draw an initial state from `rng`: (state, observation)."""
    state = reset(env, rng)
    return state, observe(env, state)


@kernel
def next_state(env, state, action):
    """Take a step from `state`: (state, observation, reward, terminated)."""
    state, reward, terminated = step(env, state, action)
    return state, observe(env, state), reward, terminated

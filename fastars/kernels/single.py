"""One environment of scalar functions, one call per step: what a Gymnasium environment is made of that has no other form."""

from fastars._compiled.jit import kernel
from fastars._compiled.protocol import observe, reset, step


@kernel
def first_state(env, rng):
    """An initial state, drawn from `rng`: (state, observation)."""
    state = reset(env, rng)
    return state, observe(env, state)


@kernel
def next_state(env, state, action):
    """The step from `state`: (state, observation, reward, terminated)."""
    state, reward, terminated = step(env, state, action)
    return state, observe(env, state), reward, terminated

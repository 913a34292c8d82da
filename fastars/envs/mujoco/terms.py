"""A MuJoCo environment whose reward is the vector of its terms instead of their total."""

from typing import Any, NamedTuple

from fastars._compiled.jit import inline
from fastars._compiled.protocol import observe_sim, register_simulated, reset_sim, reward_terms


class Terms(NamedTuple):
    """An environment that gives each term of its reward as a reward of its own."""

    env: Any  # NamedTuple of its constants


@inline
def reset_wrapped(env, sim, rng):
    reset_sim(env.env, sim, rng)


@inline
def observe_wrapped(env, sim, observation):
    observe_sim(env.env, sim, observation)


@inline
def step_sim(env, sim, action):
    terms, _, terminated = reward_terms(env.env, sim, action)
    return terms, terminated


register_simulated(Terms, reset_wrapped, observe_wrapped, step_sim)

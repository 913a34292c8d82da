"""An environment in MuJoCo whose reward is the vector of its terms, and not their total."""

from typing import Any, NamedTuple

from fastars._compiled.jit import inline
from fastars._compiled.protocol import begin, pay, register_simulated, sense


class Terms(NamedTuple):
    """An environment that pays for several things, one by one."""

    env: Any  # NamedTuple of its constants


@inline
def begin_env(env, sim, rng):
    begin(env.env, sim, rng)


@inline
def sense_env(env, sim, observation):
    sense(env.env, sim, observation)


@inline
def advance(env, sim, action):
    terms, _, terminated = pay(env.env, sim, action)
    return terms, terminated


register_simulated(Terms, begin_env, sense_env, advance)

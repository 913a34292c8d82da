"""A MuJoCo environment whose reward is the vector of its terms instead of their total."""

from typing import Any, NamedTuple

from fastars._compiled.jit import inline
from fastars._compiled.simulated import (
    draw_state,
    needs_contact_forces,
    observe_sim,
    register_simulated,
    remember,
    reward_terms,
)


class Terms(NamedTuple):
    """An environment that gives each term of its reward as a reward of its own."""

    physics: Any  # of `env`
    env: Any  # NamedTuple of its constants


@inline
def draw_wrapped(env, sim, rng):
    draw_state(env.env, sim, rng)


@inline
def observe_wrapped(env, sim, observation):
    observe_sim(env.env, sim, observation)


@inline
def remember_wrapped(env, sim, before):
    remember(env.env, sim, before)


@inline
def reward_sim(env, sim, action, before):
    terms, _, terminated = reward_terms(env.env, sim, action, before)
    return terms, terminated


@inline
def needs_wrapped(env):
    return needs_contact_forces(env.env)


register_simulated(
    Terms,
    draw_wrapped,
    observe_wrapped,
    reward_sim,
    remember=remember_wrapped,
    needs_contact_forces=needs_wrapped,
)

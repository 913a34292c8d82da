"""Register a user's environment: three scalar functions and a NamedTuple of constants.

The functions are compiled into the rollout kernel and run over SIMD lanes (`user_kernels`). Uncompiled, they are a Gymnasium
environment of the same id (`user_gym`). An episode has the same bits in both, unless the functions call something that Numba and
Python compute in different ways (docs/own_environment.md has the list).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import gymnasium
from gymnasium.spaces import Box

from fastars._validate import positive_int, user_facing
from fastars.envs.compiled import CompiledEnv
from fastars.envs.registry import USER_ENVS
from fastars.envs.user_definition import PARAMETERS, UserDefinition, UserFunctions, check_spaces, frozen_constants
from fastars.envs.user_functions import check_new_id, plain_function
from fastars.envs.user_gym import UserEnv
from fastars.envs.user_kernels import compile_step, kind_of
from fastars.envs.user_trial import checked_rewards, count_rewards


@user_facing
def register_env(
    id: str,
    constants: Any,
    reset: Callable[..., Any],
    observe: Callable[..., Any],
    step: Callable[..., Any],
    *,
    observation_space: Box,
    action_space: Any,
    max_episode_steps: int,
    reward_threshold: float | None = None,
    reward_space: Box | None = None,
    task_names: Sequence[str] | None = None,
) -> CompiledEnv:
    """Make an environment of three scalar functions, which trains in compiled kernels and runs in plain Gymnasium.

    All functions that take an id then know it: `ARS("LinearPolicy", id)`, `evaluate_candidates(id, ...)`, `ARS.load(path)`, and
    `gymnasium.make(id)`, which runs the same functions uncompiled, for pictures and for debugging. `check_env(id)` compares the
    two forms.

    Parameters
    ----------
    id : str
        An id of Gymnasium's form, such as `"Glider-v0"`. An environment that you registered under the same id is replaced.
    constants : NamedTuple
        Numbers and bools, passed to the functions as `env`. Arguments of `gymnasium.make` by these names change them.
    reset : callable
        `reset(env, rng)` returns the state in which an episode starts, a tuple of numbers. Random numbers are drawn by
        `fastars.scalar.uniform(rng, low, high)`, `standard_normal(rng)` and `integers(rng, low, high)`.
    observe : callable
        `observe(env, state)` returns the observation, a tuple of numbers, which are rounded to float32.
    step : callable
        `step(env, state, action)` returns `(state, reward, terminated)`: the next state, a number, and True if the episode ended.
        `action` is an int for a Discrete space, and a tuple of floats for a Box, in the precision of the float32 action.
        Instead of a number, the reward may be a tuple of numbers, one for each of several tasks.
    observation_space : gymnasium.spaces.Box
        float32, of one dimension.
    action_space : gymnasium.spaces.Discrete or gymnasium.spaces.Box
        A Box must be float32 and of one dimension.
    max_episode_steps : int
        Time limit of an episode.
    reward_threshold : float, optional
        Mean return from which the environment counts as solved, for Gymnasium's spec.
    reward_space : gymnasium.spaces.Box, optional
        Bounds of several rewards, of shape (n_tasks,). Default: none.
    task_names : sequence of str, optional
        A name for each of several rewards. Default: "reward_0" and so on.

    Returns
    -------
    CompiledEnv
        The environment as the samplers see it.

    Raises
    ------
    TypeError
        For constants, functions or spaces of another kind, or a function that returns another kind of value.
    ValueError
        For an id that is taken, a number out of its range, a function that fails, returns a tuple of another length or a NaN, or
        returns another result when it is called again with the same arguments.
    UnsupportedEnvError
        For a function that Numba can't compile.

    Notes
    -----
    The functions should be made of arithmetic and selects (`a if c else b`): then LLVM computes several episodes per instruction.
    `check_env` reports if it does. Sines come from `fastars.scalar.sincos`. The functions may call plain functions, too: all
    are compiled together, without fastmath, with the globals that they have at registration.

    Registering runs the functions in plain Python for two steps, then compiles them. The rollout kernel around them takes some
    seconds when it is first used, and is found in the cache later on, in any process, until the functions change, or anything
    that they use. If such changes can't be detected, a line in the log gives the reason, and every process compiles.

    Examples
    --------
    >>> from typing import NamedTuple
    >>> import fastars, gymnasium
    >>> from fastars.scalar import uniform
    >>> class Cart(NamedTuple):
    ...     force: float = 2.0  # N
    ...     dt: float = 0.05  # s
    >>> def reset(env, rng):
    ...     return uniform(rng, -1.0, 1.0), 0.0
    >>> def observe(env, state):
    ...     return state
    >>> def step(env, state, action):
    ...     x, v = state
    ...     v = v + env.dt * (env.force if action == 1 else -env.force)
    ...     x = x + env.dt * v
    ...     return (x, v), -x * x - 0.1 * v * v, abs(x) > 3.0
    >>> spaces = {"observation_space": gymnasium.spaces.Box(-10, 10, (2,)), "action_space": gymnasium.spaces.Discrete(2)}
    >>> _ = fastars.register_env("Cart-v0", Cart(), reset, observe, step, **spaces, max_episode_steps=200)
    >>> model = fastars.ARS("LinearPolicy", "Cart-v0", seed=0).learn(100_000)
    >>> bool(model.evaluate(10).returns.mean() > -30)
    True
    """
    check_new_id("id", id, may_replace=True)
    given = {"reset": reset, "observe": observe, "step": step}
    functions = UserFunctions(*(plain_function(name, function, PARAMETERS[name]) for name, function in given.items()))
    frozen = frozen_constants(constants)
    check_spaces(observation_space, action_space)
    limit = positive_int("max_episode_steps", max_episode_steps)
    plain = UserDefinition(id, frozen, functions, observation_space, action_space)
    rewards = checked_rewards(count_rewards(plain), reward_space, task_names)
    definition = replace(plain, reward_space=rewards[0], task_names=rewards[1], kind=kind_of(plain))
    compile_step(definition)
    _register_in_gymnasium(definition, limit, reward_threshold)
    spaces = observation_space, action_space
    USER_ENVS[id] = CompiledEnv(id, {}, definition.kind(*frozen), limit, *spaces, None, gymnasium.registry[id], *rewards)
    return USER_ENVS[id]


def _register_in_gymnasium(definition: UserDefinition, max_episode_steps: int, reward_threshold: float | None) -> None:
    """Let `gymnasium.make` and `gymnasium.make_vec` know the environment; one of the same id is replaced."""

    def entry_point(**kwargs: Any) -> UserEnv:  # no method: Gymnasium copies specs, and would copy the definition with it
        return UserEnv(definition, **kwargs)

    gymnasium.registry.pop(definition.id, None)
    gymnasium.register(
        definition.id,
        entry_point,
        reward_threshold,
        max_episode_steps=max_episode_steps,
        disable_env_checker=True,  # the functions were tried already
        vector_entry_point=f"fastars.envs.vector:{definition.id}",
    )

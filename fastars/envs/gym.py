"""Environments that are stepped in Python: from Gymnasium, from a function of the user's, or given as an object."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import cloudpickle
import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import VectorEnv, VectorWrapper

from fastars._compiled.structs import RolloutSpec
from fastars._runtime.signals import OpenSignals, raised_by_handler
from fastars._validate import warn_user
from fastars.envs.errors import UnsupportedEnvError
from fastars.envs.making import made_quietly, make, warnings_logged
from fastars.envs.old_gym import maker_of
from fastars.envs.rewards import checked_task_names, unbounded_rewards
from fastars.envs.spaces import UnsupportedSpaceError, action_form, flat_size, n_scores, refuse_bounds
from fastars.envs.wrappers import time_limit, with_memory

DEFAULT_CAP = 10_000  # steps of an episode in an environment without a time limit; ten times the usual ones
# Arguments of `gymnasium.make_vec` that are not the environment's own.
_OF_MAKE_VEC = ("num_envs", "vectorization_mode", "vector_kwargs", "wrappers", "max_episode_steps")


class GymEnv(NamedTuple):
    """An environment in Python as the samplers see it."""

    id: str
    kwargs: dict[str, Any]  # keyword arguments of `gymnasium.make`
    make: Callable[[], gymnasium.Env] | None  # makes another one; None: only `env` exists
    env: gymnasium.Env | VectorEnv | None  # the user's object; the user closes it
    max_steps: int  # steps after which an episode ends at the latest
    is_capped: bool  # True: `max_steps` is our cap, as the environment has no time limit
    observation_space: Any  # of a single environment
    action_space: Any
    reason: str  # why it does not run in compiled kernels
    wrappers: tuple[str, ...]  # names of the wrappers around it, except those that `gymnasium.make` adds
    reward_space: Any = None  # a Box (n_tasks,), if a step gives several rewards
    task_names: tuple[str, ...] = ()  # one for each of several rewards
    in_info: bool = False  # True: the rewards are info["vector_reward"], and not the reward itself

    @property
    def n_tasks(self) -> int:
        """Rewards of a step; 0 if the reward is a number."""
        return len(self.task_names)

    @property
    def n_obs(self) -> int:
        """Entries of a flattened observation."""
        return flat_size(self.observation_space)

    @property
    def n_act(self) -> int:
        """Scores a policy must give."""
        return n_scores(self.action_space)

    def rollout_spec(self, policy: Any, clip_actions: bool = True, squash_output: bool = False) -> RolloutSpec:
        """Return what the kernels need of `policy` and the spaces; the environment itself is not in it."""
        kind, low, high = action_form(self.action_space, clip_actions, squash_output)
        return RolloutSpec(None, policy, kind, low, high, self.max_steps)

    def maker(self) -> Callable[[], gymnasium.Env]:
        """Return a function that makes another such environment, here or in another process.

        Raises
        ------
        UnsupportedEnvError
            If the user gave an object that can't be copied.
        """
        if self.make is not None:
            return self.make
        if isinstance(self.env, VectorEnv):
            raise UnsupportedEnvError(
                f"{self.id} is a vector environment, which has its own way to run side by side: use n_workers=1"
            )
        try:
            return partial(_copy, self.id, cloudpickle.dumps(self.env))
        except Exception as error:  # any error that an attribute of the environment raises when it is pickled
            raise UnsupportedEnvError(
                f"env {self.id!r} can't be copied for worker processes ({type(error).__name__}: {error}): give its id, or a "
                "function that makes one"
            ) from error


def _copy(env_id: str, pickled: bytes) -> gymnasium.Env:
    """Return a copy of an environment that was pickled in this run; nothing is read from a file."""
    with made_quietly(env_id):
        copied: gymnasium.Env = pickle.loads(pickled)
    return copied


def gym_env(env: Any, reason: str, max_episode_steps: int | None = None, tasks: bool = False) -> GymEnv:
    """Return the form of an environment that is stepped in Python.

    Parameters
    ----------
    env : str, gymnasium.Env, gymnasium.vector.VectorEnv or callable
        A registered id (`module:Id` imports the module first), an environment, or a function without arguments that makes one.
    reason : str
        Why it does not run in compiled kernels.
    max_episode_steps : int, optional
        Ends episodes after so many steps, if the environment does not end them before. Default: its time limit, or 10,000 where it
        has none.
    tasks : bool
        True: look for several rewards in `info["vector_reward"]`, too. Without it, only the reward itself can be several, if a
        layer of the environment has a `reward_space`, as in mo-gymnasium; a first step shows it.

    Raises
    ------
    UnsupportedEnvError
        If a policy can't see its observations or can't act in its action space; the message names the space.
    TypeError
        If `env` is none of these, or the function makes none.
    """
    if isinstance(env, VectorEnv):
        spaces = env.single_observation_space, env.single_action_space
        return _described(env, *spaces, None, env, reason, max_episode_steps, tasks)
    if isinstance(env, gymnasium.Env):
        return _described(env, env.observation_space, env.action_space, None, env, reason, max_episode_steps, tasks)
    if not isinstance(env, str) and not callable(env):
        raise TypeError(f"env must be an id, an environment, a vector environment or a function that makes one, got {env!r}")
    maker = partial(make, env) if isinstance(env, str) else env
    with warnings_logged(env):
        maker, made = maker_of(maker, maker())
    if not isinstance(made, gymnasium.Env) or not hasattr(made, "action_space"):
        raise TypeError(f"env must make a gymnasium.Env with an observation and an action space, {env!r} made {made!r}")
    try:
        if isinstance(env, str):  # worker processes have not seen what was registered here, the specification says all of it
            maker = partial(make, made.spec)
        return _described(made, made.observation_space, made.action_space, maker, None, reason, max_episode_steps, tasks)
    finally:
        made.close()


def most_steps(time_limit: int | None, max_episode_steps: int | None) -> int:
    """Return the number of steps after which an episode ends at the latest, by the time limit and by the setting."""
    return min(time_limit or max_episode_steps or DEFAULT_CAP, max_episode_steps or time_limit or DEFAULT_CAP)


def _described(
    env: Any, observations: Any, actions: Any, maker: Any, given: Any, reason: str, max_episode_steps: int | None, tasks: bool
) -> GymEnv:
    spec = env.spec
    name = spec.id if spec is not None else type(env.unwrapped).__name__
    if (wrapper := with_memory(env)) is not None:
        warn_user(
            f"env {name!r} has the wrapper {wrapper}, whose statistics go on from episode to episode: results depend on the "
            "number of workers, and no saved model has them. Use normalize_observations=True in its place; the step of ARS is "
            "divided by the standard deviation of returns anyway"
        )
    of_make = ("render_mode", *(_OF_MAKE_VEC if isinstance(env, VectorEnv) else ()))
    kwargs = {} if spec is None else {key: value for key, value in spec.kwargs.items() if key not in of_make}
    limit = time_limit(env)
    max_steps = most_steps(limit, max_episode_steps)
    described = GymEnv(name, kwargs, maker, given, max_steps, limit is None, observations, actions, reason, _wrappers(env))
    try:
        described.n_obs, described.n_act  # noqa: B018 - they raise
        refuse_bounds(observations)
        refuse_bounds(actions)
    except UnsupportedSpaceError as error:
        raise UnsupportedEnvError(f"env {name!r}: {error}") from error
    space, names, in_info = _rewards(env, tasks)
    return described._replace(reward_space=space, task_names=names, in_info=in_info)


def _rewards(env: Any, tasks: bool) -> tuple[Box | None, tuple[str, ...], bool]:
    """Return (space, names, True if they are in the info) of several rewards; (None, (), False) if the reward is a number.

    A wrapper outside of the layer with the `reward_space` may turn the rewards into a number, which only a step shows.
    """
    found = _attribute(env, "reward_space")
    if found is None and not tasks:
        return None, (), False
    with OpenSignals():
        try:
            shape, in_info = _first_rewards(env, tasks)
        except BaseException as error:  # of an environment that fails: it does so again when an episode runs
            if raised_by_handler(error) is not None:
                raise
            shape, in_info = getattr(found, "shape", ()), False
    if len(shape) != 1 or shape[0] == 0:
        return None, (), False
    space = found if isinstance(found, Box) and found.shape == shape else unbounded_rewards(shape[0])
    names = _attribute(env, "task_names")
    return space, checked_task_names(names if names is not None and len(names) == shape[0] else None, shape[0]), in_info


def _first_rewards(env: Any, tasks: bool) -> tuple[tuple[int, ...], bool]:
    """Take a first step: (shape of the rewards of a single environment, True if they are in the info)."""
    space = copy.deepcopy(env.action_space)  # its own generator is not ours to use
    space.seed(0)
    with warnings_logged(type(env.unwrapped).__name__):
        env.reset(seed=0)
        _, reward, _, _, info = env.step(space.sample())
    n_axes = 1 if isinstance(env, VectorEnv) else 0  # of rewards that are a number for each environment
    in_info = tasks and np.ndim(reward) == n_axes and "vector_reward" in info
    return np.shape(info["vector_reward"] if in_info else reward)[n_axes:], in_info


def _attribute(env: Any, name: str) -> Any:
    """Return the attribute of the outermost layer of an environment that has it; None if none does."""
    while not hasattr(env, name) and isinstance(env, (gymnasium.Wrapper, VectorWrapper)):
        env = env.env
    return getattr(env, name, None)


def _wrappers(env: Any) -> tuple[str, ...]:
    """Return the names of the wrappers around an environment, except those that `gymnasium.make` adds."""
    names = []
    while isinstance(env, VectorWrapper):
        names.append(type(env).__name__)
        env = env.env
    if env.spec is None:
        return tuple(names)
    names += [wrapper.__name__ for wrapper in env.spec.kwargs.get("wrappers") or () if isinstance(env, VectorEnv)]
    return (*names, *(wrapper.name for wrapper in env.spec.additional_wrappers))

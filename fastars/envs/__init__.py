"""The compiled environments, found through one registry: a Gymnasium id, the module that compiles it, its NamedTuple of constants.

Nothing is imported before it is asked for: `compiled_env_ids` needs neither Numba nor Gymnasium.
"""

from __future__ import annotations

import contextlib
import copy
import difflib
import functools
import importlib
import inspect
import os
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastars.envs.multi import REGISTERED

if TYPE_CHECKING:
    import gymnasium
    from gymnasium.envs.registration import EnvSpec

    from fastars._compiled.structs import RolloutSpec
    from fastars.envs.env_tuple import EnvTuple
    from fastars.envs.gym import GymEnv
    from fastars.envs.mujoco.task import MujocoTask

_CLASSIC = "fastars.envs.classic"
_MUJOCO = "fastars.envs.mujoco"
_MULTI = "fastars.envs.multi"
_ENTRY_POINTS = "gymnasium.envs.", "mo_gymnasium.envs.", f"{_MULTI}."  # of the environments that are compiled
_COMPILED = {
    "Acrobot-v1": (f"{_CLASSIC}.acrobot", "Acrobot"),
    "CartPole-v0": (f"{_CLASSIC}.cartpole", "CartPole"),
    "CartPole-v1": (f"{_CLASSIC}.cartpole", "CartPole"),
    "MountainCar-v0": (f"{_CLASSIC}.mountain_car", "MountainCar"),
    "MountainCarContinuous-v0": (f"{_CLASSIC}.mountain_car_continuous", "MountainCarContinuous"),
    "Pendulum-v1": (f"{_CLASSIC}.pendulum", "Pendulum"),
}
_MUJOCO_MODULES = {
    "Ant": "ant",
    "HalfCheetah": "half_cheetah",
    "Hopper": "hopper",
    "Humanoid": "humanoid",
    "HumanoidStandup": "humanoid_standup",
    "InvertedDoublePendulum": "inverted_double_pendulum",
    "InvertedPendulum": "inverted_pendulum",
    "Pusher": "pusher",
    "Reacher": "reacher",
    "Swimmer": "swimmer",
    "Walker2d": "walker2d",
}
for _name, _module in _MUJOCO_MODULES.items():
    _COMPILED |= {f"{_name}-v{version}": (f"{_MUJOCO}.{_module}", _name) for version in (4, 5)}
del _COMPILED["Pusher-v4"]  # which Gymnasium makes with mujoco 2 only
_COMPILED |= {env_id: (registered.module, registered.name) for env_id, registered in REGISTERED.items()}
OWN: dict[str, CompiledEnv] = {}  # what `register_env` made, by id
# Wrappers that `gymnasium.make` adds itself, or that only watch: they change nothing a rollout returns.
_TRANSPARENT_WRAPPERS = {"TimeLimit", "OrderEnforcing", "PassiveEnvChecker", "RecordEpisodeStatistics", "RecordVideo"}
# Attributes of an environment that say nothing about its dynamics.
_COSMETIC = {"render_mode", "isopen", "screen", "clock", "screen_width", "screen_height", "screen_dim", "SCREEN_DIM"}
_COSMETIC |= {"width", "height", "camera_id", "camera_name", "_ezpickle_args", "_ezpickle_kwargs", "sim", "time_step"}

# Reasons to step an environment in Python that don't tell it from a compiled one.
AS_COMPILED = _BY_CHOICE, _VECTOR, _MADE = "compiled=False", "it is a vector environment", "a function makes it"


class UnsupportedEnvError(ValueError):
    """The environment can't be run in compiled kernels; the message says why, by name."""


class SimulationError(RuntimeError):
    """A simulator failed; the message ends with its own text."""


class WorkerError(RuntimeError):
    """Worker processes could not do their work: one could not make its environment, or they were killed again and again."""


class CompiledEnv(NamedTuple):
    """An environment in compiled kernels, as the samplers see it."""

    id: str
    kwargs: dict[str, Any]  # keyword arguments of `gymnasium.make`
    constants: Any  # NamedTuple whose type picks the kernels
    max_steps: int  # time limit of an episode
    observation_space: Any  # a Box
    action_space: Any  # a Discrete or a Box
    model: Any = None  # MjModel of a MuJoCo environment
    spec: Any = None  # EnvSpec of one that Gymnasium has no id for
    reward_space: Any = None  # a Box (n_tasks,) where a step gives several rewards
    task_names: tuple[str, ...] = ()  # one for each of them

    @property
    def n_obs(self) -> int:
        """Entries of an observation."""
        return int(np.prod(self.observation_space.shape))

    @property
    def n_tasks(self) -> int:
        """Rewards of a step; 0 where the reward is a number."""
        return len(self.task_names)

    @property
    def n_act(self) -> int:
        """Scores a policy must give: entries of a Box action, choices of a Discrete one."""
        from fastars.envs.spaces import n_scores

        return n_scores(self.action_space)

    def gymnasium(self) -> tuple[Any, dict[str, Any]]:
        """Id (or EnvSpec) and keyword arguments that make the same environment in Gymnasium."""
        return self.spec or self.id, self.kwargs

    def rollout_spec(self, policy: Any, clip_actions: bool = True, squash_output: bool = False) -> RolloutSpec:
        """The task of `policy` in this environment, as the kernels take it."""
        from fastars._compiled.blas import blas_is_fused
        from fastars._compiled.structs import RolloutSpec
        from fastars.envs.spaces import action_form

        kind, low, high = action_form(self.action_space, clip_actions, squash_output)
        rewards = blas_is_fused(), (1.0,) * self.n_tasks
        if self.model is None:  # lanes: loops over tuples are unrolled
            return RolloutSpec(self.constants, policy, kind, tuple(low), tuple(high), self.max_steps, *rewards)
        return RolloutSpec(self.constants, policy, kind, low, high, self.max_steps, *rewards)


def checked_task_names(names: Any, n_tasks: int) -> tuple[str, ...]:
    """The names of n tasks; None: "reward_0" and so on.

    Raises
    ------
    ValueError
        If there are not n of them, or they are not different texts.
    """
    if names is None:
        return tuple(f"reward_{i}" for i in range(n_tasks))
    given = (names,) if isinstance(names, str) else tuple(names)
    if len(set(given)) != n_tasks or len(given) != n_tasks or not all(isinstance(name, str) and name for name in given):
        raise ValueError(f"task_names must be {n_tasks} different names, one for each reward, got {names!r}")
    return given


def compiled_env_ids(family: str | None = None) -> list[str]:
    """Ids of the environments that run in compiled kernels, sorted.

    Parameters
    ----------
    family : {"classic", "mujoco", "multi", "own"}, optional
        Default: all. MuJoCo's need `fastars[mujoco]`; those of "multi" have vector rewards; your own are those of `register_env`.
    """
    prefix = "fastars.envs" if family is None else f"fastars.envs.{family}."
    own = OWN if family in (None, "own") else ()
    return sorted([*own, *(env_id for env_id, (module, _) in _COMPILED.items() if module.startswith(prefix))])


def environment(
    env: Any, compiled: bool | None = None, max_episode_steps: int | None = None, tasks: bool = False
) -> CompiledEnv | GymEnv | EnvTuple:
    """An environment as the samplers see it: compiled if it can be, otherwise in Python.

    Parameters
    ----------
    env : str, gymnasium.Env, gymnasium.vector.VectorEnv, MujocoTask, callable, or a list or tuple of these
        As `ARS` takes it. Several are the tasks of one policy, each with a number as its reward.
    compiled : bool, optional
        True: in compiled kernels or not at all. False: in Python.
    max_episode_steps : int, optional
        Ends episodes after so many steps, where nothing ends them before.
    tasks : bool
        Whether several rewards are wanted. Where the reward is a number, they are the terms that it is known to have in MuJoCo
        (`RewardTerms`), or are looked for in the `info["vector_reward"]` of an environment in Python.

    Raises
    ------
    UnsupportedEnvError
        If it can't be run, or not in compiled kernels where these are asked for; the message says why.
    TypeError
        If `env` is none of these.
    ValueError
        If several environments have different spaces.
    """
    if type(env) not in (list, tuple):
        return _single(env, compiled, max_episode_steps, tasks)
    from fastars.envs.env_tuple import several_envs

    return several_envs(_single(one, compiled, max_episode_steps, tasks=False) for one in env)


def _single(env: Any, compiled: bool | None, max_episode_steps: int | None, tasks: bool) -> CompiledEnv | GymEnv:
    import gymnasium

    from fastars.envs.gym import gym_env
    from fastars.envs.mujoco.task import MujocoTask
    from fastars.envs.terms import TERMS, spec_with_terms, with_terms

    kinds = (str, gymnasium.Env, gymnasium.vector.VectorEnv, MujocoTask, CompiledEnv)
    if not isinstance(env, kinds) and not callable(env):
        raise TypeError(
            "env must be an id, an environment, a vector environment, a MujocoTask, a function that makes one, or a list of these, "
            f"got {env!r}"
        )
    if isinstance(env, str):
        env = _bare_id(env)
        if compiled is not False or env not in gymnasium.registry:
            env = compiled_id(env)
    reason = _BY_CHOICE
    if compiled is not False:
        try:
            found = _compiled_form(env)
        except UnsupportedEnvError as error:
            if compiled or (isinstance(env, str) and (env in compiled_env_ids() or env not in gymnasium.registry)):
                raise
            reason = str(error)
        else:
            if tasks and found.n_tasks == 0 and found.id in TERMS:
                found = with_terms(found)
            return found._replace(max_steps=min(found.max_steps, max_episode_steps or found.max_steps))
    if isinstance(env, MujocoTask):
        env = env.make
    elif isinstance(env, CompiledEnv):
        env_id, kwargs = env.gymnasium()
        env = functools.partial(make, env_id, **kwargs)
    elif tasks and isinstance(env, str) and env in TERMS:
        env = functools.partial(make, spec_with_terms(env))
    return gym_env(env, reason, max_episode_steps, tasks)


def _bare_id(env_id: str) -> str:
    """An id without the module that registers it, which is imported, and without our own namespace."""
    module, colon, name = env_id.rpartition(":")
    if colon:
        importlib.import_module(module)
    return name.removeprefix("fastars/")


def compiled_id(env_id: str) -> str:
    """The id of ours for one of mo-gymnasium's, which is the same without `fastars/`; any other as it is."""
    return f"fastars/{env_id}" if f"fastars/{env_id}" in REGISTERED else env_id


def _compiled_form(env: Any) -> CompiledEnv:
    """`compiled_env`, which refuses by name what could not be compiled anyway."""
    import gymnasium

    from fastars.envs.mujoco.task import MujocoTask

    if isinstance(env, gymnasium.vector.VectorEnv):
        raise UnsupportedEnvError(_VECTOR)
    if callable(env) and not isinstance(env, (gymnasium.Env, MujocoTask)):
        raise UnsupportedEnvError(_MADE)
    return compiled_env(env)


def compiled_env(env: str | gymnasium.Env | MujocoTask | CompiledEnv) -> CompiledEnv:
    """The compiled form of an environment.

    Parameters
    ----------
    env : str, gymnasium.Env, MujocoTask or CompiledEnv
        A registered id, an environment made from one (its keyword arguments and time limit are taken over), a task of your own, or
        what `register_env` gave.

    Raises
    ------
    UnsupportedEnvError
        If it is unknown, not compiled, has no time limit, or was changed in a way the kernels don't know: a wrapper, a keyword
        argument or an attribute, which the message names.
    TypeError
        If `env` is none of these.
    """
    import gymnasium

    from fastars.envs.mujoco.task import MujocoTask
    from fastars.envs.terms import RewardTerms, with_terms

    if isinstance(env, CompiledEnv):
        return env
    if isinstance(env, MujocoTask):
        return env.compiled
    if isinstance(env, str):
        made = _make(env)
        try:
            return _compiled(made)
        finally:
            made.close()
    if isinstance(env, gymnasium.Env):
        compiled = _compiled(env)
        _refuse_changes(env, env.spec)  # type: ignore[arg-type]
        return with_terms(compiled) if _layers(env, RewardTerms) else compiled
    raise TypeError(f"env must be an environment id, a gymnasium.Env or a MujocoTask, not {type(env).__name__}: {env!r}")


def _make(env_id: str) -> gymnasium.Env:
    import gymnasium

    env_id = compiled_id(env_id)
    if env_id not in _COMPILED and env_id not in OWN:
        if env_id in gymnasium.registry:
            raise UnsupportedEnvError(f"env {env_id!r} is a Gymnasium environment, but not a compiled one")
        near = difflib.get_close_matches(env_id, {*compiled_env_ids(), *gymnasium.registry}, n=3)
        hint = f" Near names: {', '.join(near)}." if near else ""
        raise UnsupportedEnvError(
            f"env {env_id!r} is not a known environment id.{hint} fastars.compiled_env_ids() lists the compiled ones."
        )
    return make(env_id)


def make(env_id: Any, **kwargs: Any) -> gymnasium.Env:
    """`gymnasium.make`, with MuJoCo's warnings about the model kept off the terminal and out of the user's folder.

    Gymnasium's own files have some; those about a file of the user's are Python warnings.

    Raises
    ------
    UnsupportedEnvError
        If a package that the environment needs is missing; the message says what to install.
    Exception
        Whatever `gymnasium.make` raises. MuJoCo's errors are ValueErrors, with the name of the file.
    """
    import gymnasium

    name = getattr(env_id, "id", env_id)  # it may be an EnvSpec
    with quiet(name) as texts:
        try:
            env = gymnasium.make(env_id, **kwargs)
            if hasattr(env.unwrapped, "reward_space") and _is_checked(env):  # the checker warns of what is not a number
                env.close()
                env = gymnasium.make(env_id, disable_env_checker=True, **kwargs)
        except (ImportError, gymnasium.error.DependencyNotInstalled) as error:
            if name not in compiled_env_ids("mujoco"):
                raise
            raise UnsupportedEnvError(f'MuJoCo environments need more packages: pip install "fastars[mujoco]" ({error})') from error
        except ValueError as error:
            if "xml_file" not in kwargs:
                raise
            raise ValueError(f"xml_file {kwargs['xml_file']}: {' '.join(str(error).split())}") from error
    if "xml_file" in kwargs:
        for text in texts:
            warnings.warn(f"MuJoCo on {kwargs['xml_file']}: {text}", UserWarning, stacklevel=2)
    return env


def _is_checked(env: gymnasium.Env) -> bool:
    """Whether Gymnasium's checker is around an environment."""
    import gymnasium

    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, gymnasium.wrappers.PassiveEnvChecker):
            return True
        env = env.env
    return False


@contextlib.contextmanager
def quiet(env_id: Any) -> Iterator[list[str]]:
    """Where MuJoCo's warnings are collected, if `env_id` is one of its environments, instead of printed and written to a file."""
    if not _COMPILED.get(str(env_id), ("",))[0].startswith(_MUJOCO):
        yield []
        return
    from fastars.envs.mujoco.capi import collected_warnings

    with collected_warnings() as texts:
        yield texts


def _compiled(env: gymnasium.Env) -> CompiledEnv:
    from fastars.envs.mujoco.task import TaskEnv
    from fastars.envs.user_env import OwnEnv

    spec, unwrapped = env.spec, env.unwrapped
    is_task = isinstance(unwrapped, (TaskEnv, OwnEnv))
    if spec is None or not (is_task or compiled_id(spec.id) in _COMPILED):
        name = spec.id if spec is not None else type(env.unwrapped).__name__
        spaces = f"observations {env.observation_space}, actions {env.action_space}"
        raise UnsupportedEnvError(f"env {name!r} ({spaces}) is not a compiled one")
    if not (is_task or str(spec.entry_point).startswith(_ENTRY_POINTS)):
        raise UnsupportedEnvError(f"env {spec.id!r} was registered anew, as {spec.entry_point!r}, and the compiled one was not")
    limits = time_limit(env), getattr(unwrapped, "time_limit", None)  # mo-gymnasium's reservoir has one of its own
    max_steps = min((limit for limit in limits if limit is not None), default=0)
    if max_steps < 1:
        raise UnsupportedEnvError(f"env {spec.id!r} has no time limit: make it with max_episode_steps=...")
    if isinstance(unwrapped, TaskEnv):
        return unwrapped.task.compiled._replace(max_steps=max_steps)
    if isinstance(unwrapped, OwnEnv):
        return unwrapped.compiled(max_steps)
    module, name = _COMPILED[compiled_id(spec.id)]
    kind = getattr(importlib.import_module(module), name)
    kwargs = {key: value for key, value in spec.kwargs.items() if key != "render_mode"}
    if module.startswith(_MULTI):
        return _with_vector_reward(unwrapped, kind, spec.id, kwargs, max_steps)
    if module.startswith(_MUJOCO):
        return _simulated(env, kind, spec, max_steps)
    constants = _constants(kind, spec.id, kwargs)
    kwargs = {key: getattr(constants, key) for key in kwargs}
    return CompiledEnv(spec.id, kwargs, constants, max_steps, env.observation_space, env.action_space)


def _with_vector_reward(unwrapped: Any, kind: Any, env_id: str, kwargs: dict[str, Any], max_steps: int) -> CompiledEnv:
    """The compiled form of an environment of `multi`, or of mo-gymnasium's that it follows."""
    if not isinstance(unwrapped, kind):
        known = [name for name in inspect.signature(kind).parameters if name != "render_mode"]
        kwargs = {name: value for name, value in kwargs.items() if name != "time_limit"}
        for name, value in kwargs.items():
            if name not in known:
                raise UnsupportedEnvError(
                    f"env {env_id!r}: the keyword argument {name}={value!r} is not compiled (compiled: {', '.join(known)})"
                )
        try:
            unwrapped = kind(**kwargs)
        except ValueError as error:
            raise UnsupportedEnvError(f"env {env_id!r}: {error}") from error
    return unwrapped.compiled(compiled_id(env_id), max_steps)


def _simulated(env: gymnasium.Env, constants_type: Any, spec: EnvSpec, max_steps: int) -> CompiledEnv:
    """The compiled form of one of Gymnasium's MuJoCo environments. It has a model of its own."""
    from fastars.envs.mujoco.arguments import COSMETIC, constants_of

    unwrapped: Any = env.unwrapped
    kwargs = {key: value for key, value in spec.kwargs.items() if key not in COSMETIC}
    constants = constants_of(constants_type, unwrapped, kwargs)
    if str(kwargs.get("xml_file", "")).startswith((".", "~", "/")):  # else it is one of Gymnasium's own, wherever that is installed
        kwargs["xml_file"] = os.path.abspath(unwrapped.fullpath)
    model = copy.copy(unwrapped.model)
    return CompiledEnv(spec.id, kwargs, constants, max_steps, env.observation_space, env.action_space, model)


def time_limit(env: Any) -> int | None:
    """The smallest of the time limits around an environment, in steps; None if it has none."""
    import gymnasium

    if isinstance(env, gymnasium.vector.VectorEnv):
        if env.spec is None:
            return None
        return env.spec.kwargs.get("max_episode_steps", env.spec.max_episode_steps)  # the first is what `make_vec` was given
    return min((int(layer._max_episode_steps) for layer in _layers(env, gymnasium.wrappers.TimeLimit)), default=None)


def _layers(env: Any, kind: Any) -> list[Any]:
    """The wrappers around an environment that are of this kind, the outermost first."""
    import gymnasium

    found = []
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, kind):
            found.append(env)
        env = env.env
    return found


def _constants(constants_type: Any, env_id: str, kwargs: dict[str, Any]) -> Any:
    """The NamedTuple of constants for keyword arguments of `gymnasium.make`; refuses those it doesn't know."""
    allowed = constants_type().gymnasium()[1]
    for key, value in kwargs.items():
        if key not in allowed:
            known = ", ".join(allowed) or "none"
            raise UnsupportedEnvError(f"env {env_id!r}: the keyword argument {key}={value!r} is not compiled (compiled: {known})")
        if not isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating)) or not np.isfinite(value):
            raise UnsupportedEnvError(f"env {env_id!r}: {key} must be a finite number or a bool, got {value!r}")
    fields = constants_type._field_defaults
    return constants_type(**{key: type(fields[key])(value) for key, value in kwargs.items()})


def _refuse_changes(env: gymnasium.Env, spec: EnvSpec) -> None:
    """Raise if a wrapper or a change makes `env` another task than the one its id names."""
    import gymnasium

    from fastars.envs.terms import TERMS, RewardTerms

    for layer in _layers(env, gymnasium.Wrapper):
        if type(layer) is RewardTerms and layer.terms == TERMS.get(spec.id):
            continue
        if type(layer) is gymnasium.wrappers.TimeLimit:  # which rl_zoo3 replaces by one of its own
            continue
        if type(layer).__name__ not in _TRANSPARENT_WRAPPERS or not type(layer).__module__.startswith("gymnasium."):
            raise UnsupportedEnvError(f"env {spec.id!r} has the wrapper {type(layer).__name__}, which compiled rollouts don't run")
    with quiet(spec.id):
        fresh = gymnasium.make(spec)
    try:
        theirs: Any = env.unwrapped
        ours: Any = fresh.unwrapped
        if type(theirs) is not type(ours):
            raise UnsupportedEnvError(f"env {spec.id!r} is a {type(theirs).__name__}, not Gymnasium's {type(ours).__name__}")
        for name in ("observation_space", "action_space"):
            if getattr(env, name) != getattr(fresh, name):
                raise UnsupportedEnvError(f"env {spec.id!r} was changed: its {name} is {getattr(env, name)}")
        for name, value in vars(theirs).items():
            if name not in _COSMETIC and _is_changed(value, getattr(ours, name, None)):
                raise UnsupportedEnvError(
                    f"env {spec.id!r} was changed: its attribute {name} is {value!r}, not {getattr(ours, name)!r}"
                )
        if hasattr(ours, "model"):
            _refuse_changed_model(theirs, ours)
    finally:
        fresh.close()


def _refuse_changed_model(theirs: Any, ours: Any) -> None:
    """Raise if a MuJoCo environment has another model or other first positions than its file gives."""
    from fastars.envs.mujoco.arguments import is_same_model

    if not is_same_model(theirs.model, ours.model):
        raise UnsupportedEnvError(
            f"env {theirs.spec.id!r} was changed: its MuJoCo model is not that of {theirs.fullpath}; write the change into an "
            "xml_file of your own"
        )
    n_moved = 4 if theirs.spec.id.startswith("Pusher") else 0  # the object's and the goal's, which its reset overwrites
    for name in ("init_qpos", "init_qvel"):
        value, original = getattr(theirs, name), getattr(ours, name)
        if not np.array_equal(value[: len(value) - n_moved], original[: len(value) - n_moved]):
            raise UnsupportedEnvError(f"env {theirs.spec.id!r} was changed: its attribute {name} is {value!r}, not {original!r}")


def _is_changed(value: Any, original: Any) -> bool:
    """Whether an attribute that belongs to an environment's definition has another value: a number, a text, a list, a method."""
    if callable(original):
        return True  # an instance has no methods of its own
    if isinstance(original, tuple) and hasattr(original, "_fields"):
        return bool(value != original)
    if isinstance(original, (bool, int, float, str, list, tuple)):
        return not np.array_equal(np.asarray(value), np.asarray(original))
    return False

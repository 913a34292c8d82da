"""A MuJoCo task of the user's own: a model, and what is observed, paid for and given up, as three plain functions.

The functions are compiled into the rollout kernel like those of the environments that come with fastars, and run uncompiled in the
Gymnasium environment that `MujocoTask.make` gives. An episode has the same bits in both, unless the functions call something that
Numba and NumPy compute in different ways (docs/own_mujoco_task.md lists what).

`mujoco` is imported when a task is made: the name `fastars.MujocoTask` is there without it.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import inspect
import itertools
import math
import operator
import os
import re
import warnings
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from fastars._compiled.jit import inline
from fastars._compiled.protocol import register_simulated
from fastars._compiled.structs import FloatArray, Simulation
from fastars.envs import CompiledEnv, SimulationError, UnsupportedEnvError

_PARAMETERS = {
    "observe": ("constants", "sim", "observation"),
    "reward": ("constants", "sim", "action", "before"),
    "terminated": ("constants", "sim"),
}
_numbers = itertools.count()
_new_class: Any = collections.namedtuple  # for a type checker, a NamedTuple has a name that is written down


class Functions(NamedTuple):
    """What makes a model a task: three functions, plain or compiled."""

    observe: Callable[..., Any]
    reward: Callable[..., Any]
    terminated: Callable[..., Any]


class MujocoTask:
    """A task of your own in MuJoCo, which trains in compiled kernels and runs in plain Gymnasium.

    Give it where an environment is asked for: `ARS("LinearPolicy", task)`, `evaluate_candidates(task, ...)`, `compiled_env(task)`,
    `ARS.load(path, env=task)`. `task.make()` is the same task as a `gymnasium.Env`.

    An episode starts at the model's positions and at rest, with noise from U(-reset_noise_scale, reset_noise_scale) added to every
    position and velocity. An action sets the controls, MuJoCo takes `frame_skip` steps, then reward, terminated and observe are
    called, in this order. Observations are float64 without bounds, actions float32 within the actuators' `ctrlrange`.

    Parameters
    ----------
    model : str, path or mujoco.MjModel
        The path of an MJCF or URDF file, the XML text itself (which starts with "<"), or a loaded model, which is copied.
    observe : callable
        `observe(constants, sim, observation)` writes the observation into `observation`, float64 (n_obs,), all of it.
    reward : callable
        `reward(constants, sim, action, before)` gives the reward of a step: `action` is what was applied, float64 (nu,), and
        `before` the positions before the step, float64 (nq,).
    terminated : callable, optional
        `terminated(constants, sim)` says whether the step ended the episode, a bool. Default: only the time limit does.
    n_obs : int
        Entries of an observation.
    constants : tuple or NamedTuple, optional
        Numbers, bools, arrays and tuples of them, handed to the functions. Arrays are copied, as float64, int64 or bool, and can't
        be written to. Default: `()`.
    frame_skip : int
        MuJoCo's steps in one of the task's.
    max_episode_steps : int
        Time limit of an episode, in the task's steps.
    reset_noise_scale : float
        Half the width of the noise in positions (m, rad) and velocities (m/s, rad/s) at the start.
    contact_forces : bool
        Compute `sim.cfrc_ext` after every step (`mj_rnePostConstraint`), which is 0 otherwise.
    name : str
        An id as Gymnasium's, one that is not taken. Saved models carry it.

    Attributes
    ----------
    model : mujoco.MjModel
        Not to be changed: the kernels step it.
    observation_space, action_space : gymnasium.spaces.Box
    dt : float
        Seconds in one of the task's steps.
    compiled : CompiledEnv
        The task as the samplers see it.
    spec : gymnasium.envs.registration.EnvSpec
        What `gymnasium.make` makes it from.

    Raises
    ------
    TypeError
        For a function that is none, has other parameters, or gives something else than it should.
    IndexError
        If a function goes beyond an array.
    ValueError
        For a model that MuJoCo can't compile or that has no control range, a number out of its range, or an observation that is not
        written. `FileNotFoundError` if there is no such file.
    UnsupportedEnvError
        For a function that Numba can't compile, or without the mujoco package.

    Warns
    -----
    UserWarning
        With MuJoCo's words, where it warns about the model.

    Notes
    -----
    `sim` is a NamedTuple of views of an MjData's arrays under MuJoCo's names (`fastars._compiled.structs.Simulation`): qpos, qvel,
    act, ctrl, qacc, xpos, xquat, xipos, site_xpos, subtree_com, sensordata, cinert, cvel, cfrc_ext, qfrc_actuator, qfrc_constraint.
    Anything else can be had as a sensor of the model.

    Making a task runs the functions in plain Python for two steps, then compiles them, which takes a second; what they read of
    globals is fixed from then on. The rollout kernel around them is compiled when it is first used in a process (some 5 s), and not
    cached, as its file could not tell when the functions change. It stays in memory as long as the process.

    An index beyond an array is an IndexError in the kernels, too.

    Examples
    --------
    >>> import fastars
    >>> xml = '''<mujoco><worldbody><body>
    ...   <joint name="hinge" axis="0 1 0" damping="1"/><geom size="0.1" pos="0 0 -1" mass="1"/></body></worldbody>
    ...   <actuator><motor joint="hinge" ctrllimited="true" ctrlrange="-1 1" gear="15"/></actuator></mujoco>'''
    >>> def observe(constants, sim, observation):
    ...     observation[0] = sim.qpos[0] - 1.0
    ...     observation[1] = sim.qvel[0]
    >>> def reward(constants, sim, action, before):
    ...     return -abs(sim.qpos[0] - 1.0)
    >>> task = fastars.MujocoTask(xml, observe, reward, n_obs=2, frame_skip=10, max_episode_steps=100)
    >>> model = fastars.ARS("LinearPolicy", task, delta_std=1.0, learning_rate=0.5, seed=0).learn(10_000)
    >>> model.evaluate(10).returns.mean() > -35
    True
    """

    def __init__(
        self,
        model: Any,
        observe: Callable[..., None],
        reward: Callable[..., float],
        terminated: Callable[..., bool] | None = None,
        *,
        n_obs: int,
        constants: Any = (),
        frame_skip: int = 1,
        max_episode_steps: int = 1000,
        reset_noise_scale: float = 0.01,
        contact_forces: bool = False,
        name: str = "MujocoTask-v0",
    ) -> None:
        self.functions = Functions(
            _function("observe", observe),
            _function("reward", reward),
            _function("terminated", _never if terminated is None else terminated),
        )
        self.name = name
        self.n_obs = _integer("n_obs", n_obs)
        self.frame_skip = _integer("frame_skip", frame_skip)
        self.max_episode_steps = _integer("max_episode_steps", max_episode_steps)
        self.reset_noise_scale = _scale("reset_noise_scale", reset_noise_scale)
        if not isinstance(contact_forces, bool):
            raise TypeError(f"contact_forces must be True or False, got {contact_forces!r}")
        self.contact_forces = contact_forces
        if not isinstance(constants, tuple):
            raise TypeError(f"constants must be a NamedTuple or a tuple, got {constants!r}")
        self.constants = _frozen("constants", constants)
        self.spec = _spec(name, self)
        self.model, self.source = _loaded(model)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (self.n_obs,), np.float64)
        self.action_space = _action_space(self.model, self.source)
        _try(self)
        spaces = self.observation_space, self.action_space
        self.compiled = CompiledEnv(name, {}, _compile(self), self.max_episode_steps, *spaces, self.model, self.spec)

    @property
    def dt(self) -> float:
        """Seconds in one of the task's steps."""
        return float(self.model.opt.timestep * self.frame_skip)

    def make(self, **kwargs: Any) -> gymnasium.Env:
        """The task in plain Gymnasium: the functions uncompiled, MuJoCo through its own Python bindings.

        Where MuJoCo finds the physics unstable, the step's reward is NaN and the episode ends, as it does in the kernels; MuJoCo's
        warnings stand in the step's `info["warnings"]`. A fatal error in MuJoCo is a `SimulationError`.

        Parameters
        ----------
        **kwargs
            Arguments of `gymnasium.make`, such as `render_mode="human"` or `max_episode_steps`.

        Returns
        -------
        gymnasium.Env
        """
        return gymnasium.make(self.spec, **kwargs)

    def __repr__(self) -> str:
        return f"MujocoTask({self.source!r}, n_obs={self.n_obs}, n_act={self.model.nu}, name={self.name!r})"


class TaskEnv(gymnasium.Env):
    """A `MujocoTask` in Gymnasium, with a model of its own. `MujocoTask.make` puts a time limit around it.

    Parameters
    ----------
    task : MujocoTask
    render_mode : {"human", "rgb_array", "depth_array"}, optional
        As for Gymnasium's MuJoCo environments.
    """

    def __init__(self, task: MujocoTask, render_mode: str | None = None) -> None:
        from fastars.envs.mujoco.capi import mujoco, simulation_of

        self.task = task
        self.fullpath = task.source
        self.model = copy.copy(task.model)
        self.data = mujoco.MjData(self.model)
        self.sim = simulation_of(self.model, self.data)
        self.init_qpos, self.init_qvel = self.data.qpos.copy(), self.data.qvel.copy()
        self.observation_space, self.action_space = task.observation_space, task.action_space
        self.metadata = {"render_modes": ["human", "rgb_array", "depth_array"], "render_fps": max(round(1.0 / task.dt), 1)}
        self.render_mode = render_mode
        self._renderer: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[FloatArray, dict[str, Any]]:
        """Start an episode: (observation, {})."""
        super().reset(seed=seed)
        self.reset_sim(self.np_random)
        return self._observe(), {}

    def step(self, action: Any) -> tuple[FloatArray, float, bool, bool, dict[str, Any]]:
        """One step: (observation, reward, whether terminated, False, info)."""
        before, texts = self.step_sim(action)
        constants, sim, functions = self.task.constants, self.sim, self.task.functions
        with np.errstate(all="ignore"):  # the kernels divide by zero without a word, too
            reward = float(functions.reward(constants, sim, sim.ctrl, before))
            terminated = bool(functions.terminated(constants, sim))
        if self.is_unstable:
            reward, terminated = math.nan, True
        return self._observe(), reward, terminated, False, {"warnings": texts} if texts else {}

    def reset_sim(self, rng: np.random.Generator) -> None:
        """Put the simulation into an initial state, drawn from `rng`."""
        from fastars.envs.mujoco.capi import collected_warnings, mujoco

        scale = self.task.reset_noise_scale
        with collected_warnings():
            mujoco.mj_resetData(self.model, self.data)
            self.data.qpos[:] = self.init_qpos + rng.uniform(-scale, scale, self.model.nq)
            self.data.qvel[:] = self.init_qvel + rng.uniform(-scale, scale, self.model.nv)
            with _fatal_errors_of(self.task):
                mujoco.mj_forward(self.model, self.data)

    def step_sim(self, action: Any) -> tuple[FloatArray, list[str]]:
        """Step the physics under `action` (nu,): the positions before, (nq,), and MuJoCo's warnings."""
        from fastars.envs.mujoco.capi import collected_warnings, mujoco

        if np.shape(action) != self.action_space.shape:
            raise ValueError(f"action must have shape {self.action_space.shape}, got {np.shape(action)}")
        before = self.data.qpos.copy()
        self.data.ctrl[:] = action
        with collected_warnings() as texts, _fatal_errors_of(self.task):
            mujoco.mj_step(self.model, self.data, nstep=self.task.frame_skip)
            if self.task.contact_forces:
                mujoco.mj_rnePostConstraint(self.model, self.data)
        return before, texts

    @property
    def is_unstable(self) -> bool:
        """Whether MuJoCo found bad numbers in the state since the episode began."""
        return bool(self.sim.bad.any())

    def _observe(self) -> FloatArray:
        observation = np.full(self.task.n_obs, np.nan)
        with np.errstate(all="ignore"):
            self.task.functions.observe(self.task.constants, self.sim, observation)
        if self.render_mode == "human":
            self.render()
        return observation

    def render(self) -> Any:
        """What Gymnasium's renderer of MuJoCo shows of the simulation."""
        if self.render_mode is None:
            return None
        if self._renderer is None:
            from gymnasium.envs.mujoco.mujoco_rendering import MujocoRenderer

            self._renderer = MujocoRenderer(self.model, self.data, width=480, height=480)
        return self._renderer.render(self.render_mode)

    def close(self) -> None:
        """Close the renderer's window."""
        if self._renderer is not None:
            self._renderer.close()


@contextlib.contextmanager
def _fatal_errors_of(task: MujocoTask) -> Iterator[None]:
    """Fatal errors in MuJoCo become those that the samplers raise."""
    from fastars.envs.mujoco.capi import mujoco

    try:
        yield
    except mujoco.FatalError as error:
        raise SimulationError(f"MuJoCo failed in {task.name}: {error}") from error


def _never(constants: Any, sim: Any) -> bool:
    return False


# --- What a task is made from, checked


def _function(name: str, value: Any) -> Callable[..., Any]:
    """The plain Python function that the argument `name` is, or that it was compiled from."""
    function = getattr(value, "py_func", value)
    signature = f"{name}({', '.join(_PARAMETERS[name])})"
    if not isinstance(function, FunctionType):
        raise TypeError(f"{name} must be a plain function {signature}, got {value!r}")
    try:
        inspect.signature(function).bind(*_PARAMETERS[name])
    except TypeError as error:
        raise TypeError(f"{name} must take the parameters of {signature}, got {name}{inspect.signature(function)}") from error
    return function


def _integer(name: str, value: Any) -> int:
    """The value as an int of at least 1."""
    try:
        integer = operator.index(value)
    except TypeError:
        integer = 0
    if isinstance(value, bool) or integer < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return integer


def _scale(name: str, value: Any) -> float:
    """The value as a finite float of at least 0."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not 0.0 <= value < math.inf:
        raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")
    return float(value)


def _frozen(name: str, value: Any) -> Any:
    """Constants in the types that plain Python and the kernels compute with alike: float64, int64, bool."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"{name} must be an integer of 64 bits, got {value!r}")
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        array: np.ndarray = np.array(value, {"b": np.bool_, "f": np.float64}.get(value.dtype.kind, np.int64), order="C")
        array.flags.writeable = False
        return array
    if isinstance(value, tuple):
        fields = getattr(value, "_fields", range(len(value)))
        parts = [_frozen(f"{name}.{field}", part) for field, part in zip(fields, value, strict=True)]
        return value._make(parts) if hasattr(value, "_make") else tuple(parts)
    raise TypeError(f"{name} must be a number, a bool, an array of them, or a tuple or NamedTuple of these, got {value!r}")


def _spec(name: Any, task: MujocoTask) -> Any:
    """What `gymnasium.make` makes the task from."""
    from gymnasium.envs.registration import EnvSpec

    def entry_point(**kwargs: Any) -> TaskEnv:  # no method: Gymnasium copies specs, and would copy the task with it
        return TaskEnv(task, **kwargs)

    if isinstance(name, str) and name in gymnasium.registry:
        raise ValueError(f"name must be one that no registered environment has, got {name!r}")
    try:
        # The functions are checked below, so Gymnasium's checker isn't needed.
        return EnvSpec(name, entry_point, max_episode_steps=task.max_episode_steps, disable_env_checker=True)
    except (gymnasium.error.Error, TypeError) as error:
        raise ValueError(f"name must be an id such as 'MyTask-v0', got {name!r}") from error


def _loaded(model: Any) -> tuple[Any, str]:
    """(MjModel, what it was made from) of the argument `model`."""
    from fastars.envs.mujoco.capi import collected_warnings, mujoco

    if isinstance(model, mujoco.MjModel):
        return copy.copy(model), "an MjModel"
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(f"model must be the path of an MJCF file, its XML text or an mujoco.MjModel, got {model!r}")
    text = os.fsdecode(model)
    load, source = mujoco.MjModel.from_xml_string, "the XML text"
    if not text.lstrip().startswith("<"):
        load, source = mujoco.MjModel.from_xml_path, os.path.expanduser(text)
        text = source
        if not os.path.isfile(text):
            raise FileNotFoundError(f"model must be the path of an MJCF file, or XML text that starts with '<'; no file {text!r}")
    with collected_warnings() as texts:
        try:
            loaded = load(text)
        except (ValueError, mujoco.FatalError) as error:
            raise ValueError(f"model must be MJCF that MuJoCo can compile; of {source} it says: {error}") from error
    for warning in texts:
        warnings.warn(f"MuJoCo on {source}: {warning}", UserWarning, stacklevel=3)
    return loaded, source


def _action_space(model: Any, source: str) -> gymnasium.spaces.Box:
    """The controls between their ranges, as Gymnasium has them."""
    if model.nu == 0:
        raise ValueError(f"model must have an actuator, {source} has none")
    low, high = model.actuator_ctrlrange.astype(np.float32).T.copy()
    for k in np.flatnonzero(~((low < high) & np.isfinite(high - low))):
        raise ValueError(
            f"model must limit its controls: actuator {model.actuator(k).name or int(k)!r} of {source} has the range "
            f'[{low[k]:g}, {high[k]:g}]. Give it ctrllimited="true" and ctrlrange="<lowest> <highest>"'
        )
    return gymnasium.spaces.Box(low, high, dtype=np.float32)


# --- The functions, tried and compiled


def _try(task: MujocoTask) -> None:
    """Run the functions in plain Python, where what they do wrong has a name: compiled code would only crash, or go on."""
    env = TaskEnv(task)
    env.reset_sim(np.random.default_rng(0))
    _try_observe(task, env.sim)
    for action in (task.action_space.low, task.action_space.high):
        before, _ = env.step_sim(action)
        reward = _call("reward", task, env.sim, env.sim.ctrl, before)
        if not isinstance(reward, (bool, int, float, np.bool_, np.integer, np.floating)):
            raise TypeError(f"reward must give a number, got {type(reward).__name__}: {reward!r}")
        ended = _call("terminated", task, env.sim)
        if not isinstance(ended, (bool, np.bool_)):
            raise TypeError(f"terminated must give a bool, got {type(ended).__name__}: {ended!r}")
        _try_observe(task, env.sim)


def _try_observe(task: MujocoTask, sim: Simulation) -> None:
    observation = np.full(task.n_obs, np.nan)
    given = _call("observe", task, sim, observation)
    if given is not None:
        raise TypeError(f"observe must write into its third argument and give nothing, got {type(given).__name__}: {given!r}")
    missing = np.flatnonzero(np.isnan(observation))
    if len(missing):
        entries = ", ".join(map(str, missing))
        raise ValueError(f"observe must write all of the n_obs={task.n_obs} entries: not written, or NaN, are {entries}")


def _call(name: str, task: MujocoTask, *arguments: Any) -> Any:
    """What one of the functions gives in plain Python; its errors are told by its name."""
    try:
        with np.errstate(all="ignore"):
            return getattr(task.functions, name)(task.constants, *arguments)
    except IndexError as error:
        raise IndexError(f"{name} goes beyond an array: {error} (n_obs={task.n_obs}, {_sizes(task.model)})") from error
    except Exception as error:
        raise ValueError(f"{name} failed when it was tried: {type(error).__name__}: {error}") from error


def _sizes(model: Any) -> str:
    return ", ".join(f"{name}={getattr(model, name)}" for name in ("nq", "nv", "nu", "nbody", "nsite", "nsensordata"))


def _compile(task: MujocoTask) -> Any:
    """The NamedTuple that picks the task's functions in the kernels."""
    from fastars.envs.mujoco.arguments import physics_of
    from fastars.envs.mujoco.capi import new_simulation, simulate
    from fastars.envs.mujoco.physics import reset_uniform

    contact_forces = task.contact_forces
    compiled = Functions(*(_checked(function) for function in task.functions))
    observe_task, reward_of_task, is_terminated = compiled

    @inline
    def reset_sim(env: Any, sim: Any, rng: Any) -> None:
        reset_uniform(env.physics, sim, rng, env.reset_noise_scale)

    @inline
    def observe_sim(env: Any, sim: Any, observation: Any) -> None:
        for k in range(observation.shape[0]):  # what is not written is NaN, and not what the last episode left there
            observation[k] = np.nan
        observe_task(env.constants, sim, observation)

    @inline
    def step_sim(env: Any, sim: Any, action: Any) -> Any:
        before = sim.qpos.copy()
        simulate(sim, action, env.physics.frame_skip, contact_forces)
        # The action's copy in float64: 0.1 * a float32 is a float32 in NumPy and a float64 in Numba.
        return np.float64(reward_of_task(env.constants, sim, sim.ctrl, before)), is_terminated(env.constants, sim)

    sim = new_simulation(task.model)
    arguments = {"observe": (np.empty(task.n_obs),), "reward": (sim.ctrl, sim.qpos.copy()), "terminated": ()}
    for name, function in compiled._asdict().items():
        _compile_now(name, function, (task.constants, sim, *arguments[name]))
    # A class per task: it is by their types that Numba tells tasks apart. Its module says to the cache that it is not fastars' own.
    fields = ("physics", "constants", "reset_noise_scale")
    kind: Any = _new_class(f"MujocoTask{next(_numbers)}", fields, module="user")
    register_simulated(kind, reset_sim, observe_sim, step_sim)
    return kind(physics_of(task.model, task.frame_skip, 0), task.constants, task.reset_noise_scale)


def _checked(function: Callable[..., Any]) -> Any:
    """A function of the user's, compiled: an index beyond an array is an error. It costs little beside a step of MuJoCo."""
    compiled = inline(function)
    if hasattr(compiled, "targetoptions"):  # not with NUMBA_DISABLE_JIT=1
        compiled.targetoptions["boundscheck"] = True
    return compiled


def _compile_now(name: str, function: Any, arguments: tuple[Any, ...]) -> None:
    """Compile a function for the types it will be called with, so that what Numba has to say about it is said here."""
    if not hasattr(function, "compile"):
        return
    signature = tuple(function.typeof_pyval(argument) for argument in arguments)
    try:
        _, _, folded, _ = function.get_call_template(signature, {})
    except Exception as error:
        text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
        raise UnsupportedEnvError(f"{name} must be a function that Numba can compile. Numba says: {text}") from error
    given = function.overloads[tuple(folded)].signature.return_type
    boolean, *number = (type(function.typeof_pyval(value)) for value in (True, 0, 0.0))
    if name == "reward" and not isinstance(given, (boolean, *number)):
        raise TypeError(f"reward must give a number wherever it returns; Numba finds the type {given}")
    if name == "terminated" and not isinstance(given, boolean):
        raise TypeError(f"terminated must give a bool wherever it returns; Numba finds the type {given}")

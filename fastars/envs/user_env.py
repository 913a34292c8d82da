"""Register a user's environment: three scalar functions and a NamedTuple of constants.

The functions are compiled into the rollout kernel and run over SIMD lanes; uncompiled, they are a Gymnasium environment of the same
id. An episode has the same bits in both, unless the functions call something that Numba and Python compute in different ways
(docs/own_environment.md lists what).

Kernels are cached by the content of the functions. Numba tells environments apart by the class of their constants, so each gets one
of its own, named after a digest of all that its functions lead to (`closure_digest`). In another process, functions of one content
give the class of the same name, and with it the kernels in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import gymnasium
from gymnasium.spaces import Box

from fastars._compiled.closure_digest import ClosureDigest
from fastars._compiled.jit import inline
from fastars._compiled.protocol import register_functions
from fastars._compiled.tuples import rewards64, to_float32, to_float64
from fastars.envs import OWN, CompiledEnv, UnsupportedEnvError, checked_task_names, compiled_env_ids
from fastars.kernels.inspection import first_step

_PARAMETERS = {"reset": ("env", "rng"), "observe": ("env", "state"), "step": ("env", "state", "action")}
_NUMBERS = (bool, int, float, np.bool_, np.integer, np.floating)
_numbers = itertools.count()
_new_class: Any = collections.namedtuple  # for a type checker, a NamedTuple has a name that is written down
_KINDS: dict[str, Any] = {}  # classes of constants, by name
_log = logging.getLogger(__name__)


class Functions(NamedTuple):
    """What makes constants an environment: three functions, plain or compiled."""

    reset: Callable[..., Any]
    observe: Callable[..., Any]
    step: Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Definition:
    """What was registered, checked."""

    id: str
    constants: Any  # NamedTuple of the user's
    functions: Functions  # plain
    observation_space: Box
    action_space: Any
    reward_space: Any  # a Box where a step gives several rewards
    task_names: tuple[str, ...]
    kind: Any  # class of the constants in kernels: it picks the compiled functions


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
    spaces = observation_space, action_space
    OWN[id] = CompiledEnv(id, {}, definition.kind(*frozen), limit, *spaces, None, gymnasium.registry[id], *rewards)
    return OWN[id]


class OwnEnv(gymnasium.Env):
    """A registered environment in plain Gymnasium. `gymnasium.make` puts a time limit around it.

    Parameters
    ----------
    definition : Definition
    render_mode : None
        There is nothing to see. A subclass may draw `state`.
    **kwargs
        Constants that differ from the registered ones.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - as Gymnasium has it

    def __init__(self, definition: Definition, render_mode: str | None = None, **kwargs: Any) -> None:
        self.definition = definition
        self.constants = changed(definition, kwargs)
        self.observation_space, self.action_space = definition.observation_space, definition.action_space
        if definition.reward_space is not None:  # as mo-gymnasium's environments have it
            self.reward_space, self.task_names = definition.reward_space, definition.task_names
        self.render_mode = render_mode
        self.state: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode: (observation, {})."""
        super().reset(seed=seed)
        with np.errstate(all="ignore"):  # the kernels divide by zero without a word, too
            self.state = to_float64(self.definition.functions.reset(self.constants, self.np_random))
        return self._observe(), {}

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        """One step: (observation, reward, whether terminated, False, {}). Several rewards are an array of float64."""
        if self.state is None:
            raise gymnasium.error.ResetNeeded(f"{self.definition.id}: call reset() before step()")
        with np.errstate(all="ignore"):
            state, reward, terminated = self.definition.functions.step(self.constants, self.state, self._action(action))
        self.state = to_float64(state)
        reward = np.array(to_float64(reward)) if isinstance(reward, tuple) else float(reward)
        return self._observe(), reward, bool(terminated), False, {}

    def compiled(self, max_steps: int) -> CompiledEnv:
        """The environment as the samplers see it."""
        definition, spec = self.definition, self.spec
        registered = definition.constants._asdict()
        kwargs = {name: value for name, value in self.constants._asdict().items() if value != registered[name]}
        constants, spaces = definition.kind(*self.constants), (self.observation_space, self.action_space)
        rewards = definition.reward_space, definition.task_names
        return CompiledEnv(definition.id, kwargs, constants, max_steps, *spaces, None, spec, *rewards)

    def _observe(self) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.array(to_float64(self.definition.functions.observe(self.constants, self.state)), np.float32)

    def _action(self, action: Any) -> Any:
        """The action as the functions take it."""
        space = self.action_space
        if isinstance(space, Discrete):
            if not space.contains(action):
                raise ValueError(f"action must be an integer from {space.start} to {space.start + space.n - 1}, got {action!r}")
            return int(action)
        values = np.asarray(action, np.float32)
        if values.shape != space.shape:
            raise ValueError(f"action must have shape {space.shape}, got {values.shape}")
        return to_float64(values)


def changed(definition: Definition, kwargs: dict[str, Any]) -> Any:
    """The constants with some of them changed, each a number of the kind it was.

    Raises
    ------
    TypeError
        For a name that is none of theirs, or a value of another kind.
    """
    constants = definition.constants
    for name, value in kwargs.items():
        if name not in constants._fields:
            known = ", ".join(constants._fields) or "none"
            raise TypeError(f"env {definition.id!r} has no constant {name!r}; its constants are {known}")
        kind = type(getattr(constants, name))
        fits = {bool: (bool, np.bool_), int: (int, np.integer), float: (int, float, np.integer, np.floating)}[kind]
        if not isinstance(value, fits) or (isinstance(value, bool) and kind is not bool):
            raise TypeError(f"env {definition.id!r}: {name} must be of the type {kind.__name__}, got {value!r}")
        constants = constants._replace(**{name: kind(value)})
    return constants


def __getattr__(name: str) -> Any:
    """The classes of constants: a cached kernel finds them by name, if their functions were registered in this process."""
    if name not in _KINDS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _KINDS[name]


# --- What an environment is made from, checked


def _check_id(id: Any) -> None:
    from gymnasium.envs.registration import EnvSpec

    if isinstance(id, str) and id not in OWN and (id in gymnasium.registry or id in compiled_env_ids()):
        raise ValueError(f"id must be one that no registered environment has, got {id!r}")
    try:
        EnvSpec(id, "nowhere:Nothing")
    except (gymnasium.error.Error, TypeError) as error:
        raise ValueError(f"id must be one such as 'MyTask-v0', got {id!r}") from error


def _function(name: str, value: Any) -> FunctionType:
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


def _frozen(constants: Any) -> Any:
    """The constants in the types that plain Python and the kernels compute with alike: float64, int64, bool."""
    if not isinstance(constants, tuple) or not hasattr(constants, "_fields"):
        raise TypeError(f"constants must be an instance of a NamedTuple, got {constants!r}")
    fields: Any = constants
    values: dict[str, Any] = {}
    for name, value in zip(fields._fields, constants, strict=True):
        if not isinstance(value, _NUMBERS):
            raise TypeError(f"constants.{name} must be a number or a bool, got {value!r}")
        if isinstance(value, (bool, np.bool_)):
            values[name] = bool(value)
        elif isinstance(value, (int, np.integer)):
            if not -(2**63) <= value < 2**63:
                raise ValueError(f"constants.{name} must be an integer of 64 bits, got {value!r}")
            values[name] = int(value)
        else:
            values[name] = float(value)
    return fields._replace(**values)


def _check_spaces(observation_space: Any, action_space: Any) -> None:
    for name, space in {"observation_space": observation_space, "action_space": action_space}.items():
        if name == "action_space" and isinstance(space, Discrete):
            continue
        if not (isinstance(space, Box) and space.dtype == np.float32 and len(space.shape) == 1 and space.shape[0] > 0):
            allowed = "a Box of float32 with one dimension" + (" or a Discrete" if name == "action_space" else "")
            raise TypeError(f"{name} must be {allowed}, got {space!r}")


def _integer(name: str, value: Any) -> int:
    """The value as an int of at least 1."""
    try:
        integer = operator.index(value)
    except TypeError:
        integer = 0
    if isinstance(value, bool) or integer < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return integer


# --- The functions, tried and compiled


def _try(definition: Definition) -> int:
    """Run the functions in plain Python, where what they do wrong has a name; call each a second time to see that it is pure.

    Returns how many rewards a step gives as a tuple; 0 where the reward is a number.
    """
    n_obs = definition.observation_space.shape[0]
    sizes: list[int] = []
    state = _call("reset", definition, np.random.default_rng(0))
    _check_tuple("reset", "a state", state)
    if repr(_call("reset", definition, np.random.default_rng(0))) != repr(state):
        raise ValueError("reset must depend on env and rng alone: with generators of the same seed it gave two states")
    _try_observe(definition, to_float64(state), n_obs)
    for action in _actions(definition.action_space):
        before = to_float64(state)
        given = _call("step", definition, before, action)
        if type(given) is not tuple or len(given) != 3:
            raise TypeError(f"step must give (state, reward, terminated), got {type(given).__name__}: {given!r}")
        if repr(_call("step", definition, before, action)) != repr(given):
            raise ValueError("step must depend on its arguments alone: called twice with the same, it gave two results")
        state, reward, terminated = given
        _check_tuple("step", "its first entry, the state,", state, len(before), "reset")
        sizes.append(_n_rewards(reward))
        if sizes[-1] != sizes[0]:
            given = " and then ".join("a number" if n == 0 else f"a tuple of {n}" for n in sizes)
            raise ValueError(f"step must give as many rewards at every step, got {given}")
        if not isinstance(terminated, (bool, np.bool_)):
            raise TypeError(f"step must give a bool as terminated, got {type(terminated).__name__}: {terminated!r}")
        _try_observe(definition, to_float64(state), n_obs)
    return sizes[0]


def _n_rewards(reward: Any) -> int:
    """How many rewards a step gives as a tuple; 0 for a number."""
    if isinstance(reward, _NUMBERS):
        return 0
    if not isinstance(reward, tuple) or not reward or not all(isinstance(value, _NUMBERS) for value in reward):
        raise TypeError(f"step must give a number as the reward, or a tuple of numbers, got {type(reward).__name__}: {reward!r}")
    return len(reward)


def _rewards(n_rewards: int, reward_space: Any, task_names: Any) -> tuple[Box | None, tuple[str, ...]]:
    """Space and names of the rewards, checked; (None, ()) where the reward is a number."""
    for name, value in {"reward_space": reward_space, "task_names": task_names}.items():
        if n_rewards == 0 and value is not None:
            raise ValueError(f"{name} must be None where step gives a number as the reward, got {value!r}")
    if n_rewards == 0:
        return None, ()
    space = Box(-np.inf, np.inf, (n_rewards,), np.float64) if reward_space is None else reward_space
    if not isinstance(space, Box) or space.shape != (n_rewards,):
        raise ValueError(f"reward_space must be a Box of shape ({n_rewards},), as step gives {n_rewards} rewards, got {space!r}")
    return space, checked_task_names(task_names, n_rewards)


def _try_observe(definition: Definition, state: Any, n_obs: int) -> None:
    observation = _call("observe", definition, state)
    _check_tuple("observe", "an observation", observation, n_obs, "observation_space")
    if repr(_call("observe", definition, state)) != repr(observation):
        raise ValueError("observe must depend on its arguments alone: called twice with the same, it gave two observations")


def _actions(space: Any) -> list[Any]:
    """Two actions, as the functions take them."""
    if isinstance(space, Discrete):
        return [int(space.start), int(space.start + space.n - 1)]
    return [to_float64(np.clip(size * np.ones(space.shape, np.float32), space.low, space.high)) for size in (-1, 1)]


def _call(name: str, definition: Definition, *arguments: Any) -> Any:
    """What one of the functions gives in plain Python; its errors are told by its name."""
    try:
        with np.errstate(all="ignore"):
            return getattr(definition.functions, name)(definition.constants, *arguments)
    except Exception as error:
        raise ValueError(f"{name} failed when it was tried: {type(error).__name__}: {error}") from error


def _check_tuple(name: str, what: str, value: Any, length: int | None = None, other: str = "") -> None:
    if type(value) is not tuple or not all(isinstance(entry, _NUMBERS) for entry in value):
        raise TypeError(f"{name} must give {what} that is a tuple of numbers, got {type(value).__name__}: {value!r}")
    if not value or length not in (None, len(value)):
        wanted = f"{length} numbers as {other} does" if other == "reset" else f"the {length} numbers of {other}"
        raise ValueError(f"{name} must give {what} of {wanted if length else 'at least one number'}, got {len(value)}")
    for k, entry in enumerate(value):
        if not math.isfinite(entry):
            raise ValueError(f"{name} must give {what} of finite numbers, entry {k} is {entry!r}")


def _kind(definition: Definition) -> Any:
    """The class of constants that picks the functions in kernels: the one of their content, or a new one."""
    capture = ClosureDigest(definition.functions._asdict())
    is_discrete = isinstance(definition.action_space, Discrete)
    fields = definition.constants._fields
    title = re.sub(r"\W", "_", type(definition.constants).__name__)
    if capture.obstacle:
        _say_uncached(definition.id, capture.obstacle)
        # Its module says to the cache that it is not fastars' own.
        kind = _new_class(f"{title}_{next(_numbers)}", fields, module="user")
        register_functions(kind, *_scalar(Functions(**capture.compiled), is_discrete))
        return kind
    # The fields too: the order in which they stand is compiled, and functions only name them.
    content = repr((capture.digest, fields, is_discrete)).encode()
    name = f"{title}_{hashlib.sha256(content).hexdigest()[:32]}"
    if name not in _KINDS:
        _KINDS[name] = _new_class(name, fields, module=__name__)
        register_functions(_KINDS[name], *_scalar(Functions(**capture.compiled), is_discrete))
    return _KINDS[name]


@functools.cache  # once, however often a notebook's cell is run
def _say_uncached(id: str, obstacle: str) -> None:
    _log.warning("%s: its kernels are compiled anew in every process, since %s", id, obstacle)


def _scalar(functions: Functions, is_discrete: bool) -> Functions:
    """The functions as kernels call them: states and actions in float64, as plain Python has them; observations in float32."""
    reset_own, observe_own, step_own = functions

    @inline
    def reset(env: Any, rng: Any) -> Any:
        return to_float64(reset_own(env, rng))

    @inline
    def observe(env: Any, state: Any) -> Any:
        return to_float32(to_float64(observe_own(env, state)))

    @inline
    def step(env: Any, state: Any, action: Any) -> Any:
        after, reward, terminated = step_own(env, state, action)
        return to_float64(after), rewards64(reward), terminated

    @inline
    def step_of_box(env: Any, state: Any, action: Any) -> Any:
        # As in plain Python: sums and products of float32 round in other places in NumPy than in Numba.
        return step(env, state, to_float64(action))

    return Functions(reset, observe, step if is_discrete else step_of_box)


def _compile_now(definition: Definition) -> None:
    """Compile a step, so that what Numba has to say about the functions is said here, by the name of the one at fault."""
    constants = definition.kind(*definition.constants)
    action = _actions(definition.action_space)[0]
    if not isinstance(definition.action_space, Discrete):
        action = to_float32(action)
    try:
        *_, terminated = first_step(constants, np.ones(4, np.uint64), action)
    except Exception as error:
        raise _explained(definition, constants, action, error) from None
    if not isinstance(terminated, (bool, np.bool_)):
        raise TypeError("step must give a bool as terminated wherever it returns; compiled, it gives a number")


def _explained(definition: Definition, constants: Any, action: Any, error: Exception) -> UnsupportedEnvError:
    """Which function Numba can't compile, and what Numba says."""
    functions = ClosureDigest(definition.functions._asdict()).compiled
    state = to_float64(definition.functions.reset(definition.constants, np.random.default_rng(0)))
    arguments = {"reset": (np.ones(4, np.uint64),), "observe": (state,), "step": (state, action)}
    at_fault = "reset, observe and step"
    for name, function in functions.items():
        try:
            function.get_call_template(tuple(map(function.typeof_pyval, (constants, *arguments[name]))), {})
        except Exception as theirs:
            at_fault, error = name, theirs
            break
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    if "array(uint64" in text:
        text += "\n(rng is drawn from by the functions of fastars.scalar: uniform(rng, low, high) and so on)"
    return UnsupportedEnvError(f"{at_fault} must be what Numba can compile. Numba says: {text}")

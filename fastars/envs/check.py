"""Whether a compiled environment does what another form of it does, step by step, and whether it runs over SIMD lanes."""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from fastars._compiled.jit import may_vectorise, uncached
from fastars._compiled.tuples import LANES
from fastars._validate import positive_int
from fastars.envs.compiled import CompiledEnv
from fastars.envs.compiling import compiled_env
from fastars.envs.errors import UnsupportedEnvError
from fastars.envs.making import make
from fastars.kernels import inspection


class EnvMismatchError(ValueError):
    """A compiled environment and its reference differ; the message says in which episode, step and field, and by how much."""


@dataclass(frozen=True)
class EnvReport:
    """What `check_env` saw.

    Attributes
    ----------
    env, reference : str
        What was compared.
    episodes, steps : int
        How much of it.
    terminations : int
        Episodes that ended by themselves.
    largest_difference : float
        Of an entry of an observation or a reward; 0 where all bits are the same.
    calls : dict of str to tuple of str, or None
        `observe` and `step`, if they did not vectorise, with the names of the functions that LLVM had to call there. None if
        Numba's switches forbid to vectorise (`NUMBA_BOUNDSCHECK=1`, for one).
    """

    env: str
    reference: str
    episodes: int
    steps: int
    terminations: int
    largest_difference: float
    calls: dict[str, tuple[str, ...]] | None

    @property
    def vectorised(self) -> bool:
        """Whether both `observe` and `step` run over SIMD lanes."""
        return self.calls == {}

    def __str__(self) -> str:
        same = "the same bits" if self.largest_difference == 0.0 else f"largest difference {self.largest_difference:.3g}"
        ended = f"{self.episodes} episodes, {self.terminations} of them terminated, {self.steps} steps"
        return "\n".join([f"{self.env} compared with {self.reference}: {same} ({ended})", *_words(self.calls)])

    __repr__ = __str__


def check_env(
    env: Any,
    reference: Any = None,
    n_episodes: int = 20,
    n_steps: int = 1000,
    seed: int = 0,
    *,
    rtol: float = 1e-6,
    atol: float = 1e-6,
) -> EnvReport:
    """Hold a compiled environment against another form of it, step by step, and see whether its functions vectorise.

    Both start from the same seeds and take the same actions: uniform over the space, every fourth of a Box a corner of it. Initial
    observations, observations, rewards, terminated and truncated are compared.

    Parameters
    ----------
    env : str, gymnasium.Env or CompiledEnv
        A compiled environment that runs over lanes: one of your own or of Gymnasium's classic control.
    reference : str or gymnasium.Env, optional
        Default: the form in which Gymnasium has it; of your own, that is the same functions in plain Python.
    n_episodes : int
        Episode i starts as `reset(seed=seed + i)`.
    n_steps : int
        Steps of an episode at most, if its time limit is not reached before.
    seed : int
        Also of the actions.
    rtol, atol : float
        Numbers a, compiled, and b, in the reference, are equal if |a - b| <= atol + rtol |b|. 0 and 0 ask for the same bits.

    Returns
    -------
    EnvReport

    Raises
    ------
    EnvMismatchError
        At the first difference.
    UnsupportedEnvError
        For an environment that is not compiled, or not run over lanes.

    Warns
    -----
    UserWarning
        If a function did not vectorise: it is right, but slower than it could be.

    Examples
    --------
    >>> import fastars
    >>> fastars.check_env("CartPole-v1", rtol=0, atol=0)  # doctest: +SKIP
    """
    n_episodes, n_steps = positive_int("n_episodes", n_episodes), positive_int("n_steps", n_steps)
    compiled = compiled_env(env)
    if compiled.model is not None:
        raise UnsupportedEnvError(f"env {compiled.id!r} runs in a simulator, and check_env compares those that run over lanes")
    other, name = _reference(compiled, reference)
    try:
        _compare_spaces(compiled, other)
        comparison = _Comparison(compiled, other, rtol, atol)
        for episode_seed in range(seed, seed + n_episodes):
            comparison.run(episode_seed, n_steps)
    finally:
        if other is not reference:
            other.close()
    calls = calls_in_lanes(compiled) if may_vectorise() else None
    for text in _words(calls):
        if calls:
            warnings.warn(f"{compiled.id}: {text}", UserWarning, stacklevel=2)
    counts = n_episodes, comparison.steps, comparison.terminations, comparison.largest
    return EnvReport(compiled.id, name, *counts, calls)


def _reference(compiled: CompiledEnv, reference: Any) -> tuple[gymnasium.Env, str]:
    """(environment, what it is called) of the argument `reference`."""
    if reference is None:
        spec, kwargs = compiled.gymnasium()
        made = make(spec, max_episode_steps=compiled.max_steps, **kwargs)
        return made, "its plain Python form" if compiled.spec is not None else "Gymnasium's"
    if isinstance(reference, str):
        return gymnasium.make(reference), reference
    if not isinstance(reference, gymnasium.Env):
        raise TypeError(f"reference must be an environment id or a gymnasium.Env, not {type(reference).__name__}: {reference!r}")
    return reference, reference.spec.id if reference.spec is not None else type(reference.unwrapped).__name__


def _compare_spaces(compiled: CompiledEnv, other: gymnasium.Env) -> None:
    ours, theirs = compiled.observation_space.shape, other.observation_space.shape
    if ours != theirs:
        raise EnvMismatchError(f"observation_space has shape {ours} compiled and {theirs} in the reference")
    if compiled.action_space != other.action_space:
        raise EnvMismatchError(f"action_space is {compiled.action_space} compiled and {other.action_space} in the reference")


class _Comparison:
    """Episodes of both, compared as they go."""

    def __init__(self, compiled: CompiledEnv, other: gymnasium.Env, rtol: float, atol: float) -> None:
        self.compiled, self.other, self.rtol, self.atol = compiled, other, rtol, atol
        self.steps, self.terminations, self.largest = 0, 0, 0.0

    def run(self, seed: int, n_steps: int) -> None:
        """Compare the episode with this seed."""
        n_steps = min(n_steps, self.compiled.max_steps)
        actions = _random_actions(self.compiled.action_space, np.random.default_rng(seed), n_steps)
        observations, rewards, length, terminates = self._kernel_episode(seed, actions)
        where = f"episode with seed {seed}"
        observation, _ = self.other.reset(seed=seed)
        self._compare_entries(f"{where}, start: observation", observations[0], observation)
        for t in range(length):
            action: Any = actions[t] if actions.ndim == 2 else int(actions[t])
            observation, reward, terminated, truncated, _ = self.other.step(action)
            step = f"{where}, step {t + 1}"
            self._compare_entries(f"{step}: observation", observations[t + 1], observation)
            self._compare_rewards(f"{step}: reward", rewards[t], reward)
            _compare_flags(f"{step}: terminated", terminates and t == length - 1, terminated)
            _compare_flags(f"{step}: truncated", t + 1 == self.compiled.max_steps, truncated)
        self.steps += length
        self.terminations += terminates

    def _kernel_episode(self, seed: int, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, bool]:
        """(observations, rewards, length, whether it terminated) of an episode in the kernel."""
        constants, n_rewards = self.compiled.constants, self.compiled.n_tasks or 1
        observations = np.zeros((len(actions) + 1, self.compiled.n_obs), np.float32)
        rewards = np.zeros((len(actions), n_rewards))
        if actions.ndim == 1:
            ended = inspection.discrete_episode(constants, np.uint64(seed), actions, observations, rewards)
        else:
            like = (np.float32(0.0),) * actions.shape[1]
            ended = inspection.box_episode(constants, np.uint64(seed), actions, like, observations, rewards)
        return observations, rewards, int(ended[0]), bool(ended[1])

    def _compare_entries(self, where: str, ours: np.ndarray, theirs: Any) -> None:
        with np.errstate(over="ignore"):
            theirs = np.asarray(theirs).astype(np.float32).ravel()
        for k in range(len(ours)):
            self._compare(f"{where}[{k}]", ours[k], theirs[k])

    def _compare_rewards(self, where: str, ours: np.ndarray, theirs: Any) -> None:
        names = self.compiled.task_names
        if not names:
            return self._compare(where, ours[0], np.float64(theirs))
        if np.shape(theirs) != ours.shape:
            raise EnvMismatchError(f"{where} has shape {ours.shape} compiled and {np.shape(theirs)} in the reference")
        for name, a, b in zip(names, ours, np.asarray(theirs, np.float64), strict=True):
            self._compare(f"{where} {name!r}", a, b)
        return None

    def _compare(self, where: str, ours: Any, theirs: Any) -> None:
        """Compare two numbers of the same precision."""
        a, b = float(ours), float(theirs)
        if a == b or (math.isnan(a) and math.isnan(b)):
            return
        difference = abs(a - b)
        if not (math.isfinite(difference) and difference <= self.atol + self.rtol * abs(b)):
            size = ""
            if math.isfinite(difference):
                ulp = difference / float(np.spacing(abs(theirs)))
                size = f"; they differ by {difference:.3g} ({ulp:.3g} {theirs.dtype} ulp)"
            raise EnvMismatchError(f"{where} is {ours} compiled and {theirs} in the reference{size}")
        self.largest = max(self.largest, difference)


def _compare_flags(where: str, ours: bool, theirs: Any) -> None:
    if bool(ours) != bool(theirs):
        raise EnvMismatchError(f"{where} is {bool(ours)} compiled and {bool(theirs)} in the reference")


def _random_actions(space: Any, rng: np.random.Generator, n: int) -> np.ndarray:
    """Actions (n,) of a Discrete space, or (n, n_act) of a Box: every fourth is a corner; where there is no bound, normal."""
    if hasattr(space, "n"):
        return rng.integers(space.start, space.start + space.n, n)
    low, high = np.where(np.isfinite([space.low, space.high]), [space.low, space.high], 0.0).astype(np.float64)
    actions = rng.uniform(low, np.maximum(low, high), (n, *space.shape))
    corners = np.where(rng.random((n, *space.shape)) < 0.5, low, high)
    actions[::4] = corners[::4]
    actions = np.where(np.isfinite(space.low) & np.isfinite(space.high), actions, rng.standard_normal(actions.shape))
    return np.clip(actions.astype(np.float32), space.low, space.high)


# --- Lanes

# Operations of LLVM, also on vectors, that become a call of the C library per number; Intel's SVML, where Numba finds it, does not.
_C_LIBRARY = {"acos", "asin", "atan", "atan2", "cos", "cosh", "exp", "exp10", "exp2", "log", "log10", "log2", "pow", "powi", "sin"}
_C_LIBRARY |= {"sinh", "tan", "tanh"}
_NOT_CALLED_IN_LOOPS = ("NRT_", "numba_", "Py", "__svml_")


def calls_in_lanes(compiled: CompiledEnv) -> dict[str, tuple[str, ...]]:
    """`observe` and `step`, if a loop of them over lanes was not vectorised, with the calls that were left in it."""
    rows = np.zeros(LANES)
    constants = compiled.constants
    state, _, _, _, _ = inspection.first_step(constants, np.ones(4, np.uint64), _an_action(compiled))
    integers, observations = np.zeros(LANES, np.int64), rows.astype(np.float32)
    rewards = np.zeros((compiled.n_tasks or 1) * LANES)
    loops: dict[str, tuple[Any, tuple[Any, ...]]] = {"observe": (inspection.observe_lanes, (constants, rows, state, observations))}
    if hasattr(compiled.action_space, "n"):
        loops["step"] = inspection.step_lanes_discrete, (constants, rows, state, integers, rewards, integers)
    else:
        loops["step"] = inspection.step_lanes_box, (constants, rows, state, rows, _an_action(compiled), rewards, integers)
    found = {}
    for name, (loop, arguments) in loops.items():
        dispatcher = uncached(loop)
        signature = tuple(map(dispatcher.typeof_pyval, arguments))
        dispatcher.compile(signature)
        code = _body_of(dispatcher.inspect_llvm(signature), loop.__name__)
        calls = _calls(code)
        if calls or "vector.body" not in code:
            found[name] = calls
    return found


def _an_action(compiled: CompiledEnv) -> Any:
    """An action as the kernels take it."""
    space = compiled.action_space
    if hasattr(space, "n"):
        return int(space.start)
    return tuple(np.clip(np.zeros(space.shape, np.float32), space.low, space.high))


def _body_of(code: str, name: str) -> str:
    """LLVM's code of one function: what is not merged into it stands in others, behind it."""
    for body in re.findall(r"^define .*?^}", code, re.MULTILINE | re.DOTALL):
        head = body.partition("\n")[0]
        if name in head and "cpython" not in head:
            return str(body)
    return code


def _calls(code: str) -> tuple[str, ...]:
    """Names of the functions that code calls lane by lane."""
    names = dict.fromkeys(re.findall(r"\bcall\b[^@\n]*@\"?([\w.$]+)", code))
    calls = dict.fromkeys(name.split(".")[1] if name.startswith("llvm.") else name for name in names)
    found = [name for name in calls if name in _C_LIBRARY or not (f"llvm.{name}." in code or name.startswith(_NOT_CALLED_IN_LOOPS))]
    return (*found, *(["fmod (the operator %)"] if re.search(r"= frem ", code) else []))


def _words(calls: dict[str, tuple[str, ...]] | None) -> list[str]:
    """Whether the functions vectorised, in a sentence each."""
    if calls is None:
        return ["observe and step vectorised: no, as Numba's switches say"]
    if not calls:
        return ["observe and step vectorised: yes"]
    reason = "it has a branch, a loop or an index that LLVM can't turn into selects"
    return [
        f"{name} did not vectorise: " + (f"it calls {', '.join(names)}, for one lane at a time" if names else reason)
        for name, names in calls.items()
    ]

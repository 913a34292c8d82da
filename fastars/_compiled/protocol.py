"""The protocol between kernels and environments.

An environment is a NamedTuple of constants plus three scalar functions. They belong together by the NamedTuple's *type*:

    reset(env, rng) -> state                           draws an initial state from the generator `rng` (see `rng`)
    observe(env, state) -> observation                 a tuple of float32
    step(env, state, action) -> (state, reward, terminated)

`state` is a tuple of floats. `action` is an int for a Discrete space and a tuple of float32 for a Box. `reward` is a float, or a
tuple of floats, one for each of several tasks. The functions are pure, have no branches (`a if c else b` is none), and are compiled
by `jit.inline`, so that the rollout kernel can run them in SIMD lanes.

Environments whose state is in a simulator (MuJoCo) have functions that work in place: `simulated.py`.

Physics over lanes steps several simulations at once. Its functions belong to the type of `lanes.physics`:

    step_physics(lanes, n_steps)     `n_steps` times `mj_step` in every lane, then `lanes.outputs`, if it has columns
    forward_physics(lanes)           `mj_forward` in every lane: `lanes.outputs` of the present state, which stays as it is

`step_physics` leaves outputs as MuJoCo does: they are results of the last forward pass, which comes before the last state.

Numba picks the function by the type of the first argument at compile time. So compiled code can be cached: code that takes a
function as an argument is never found in the cache again. In plain Python (`NUMBA_DISABLE_JIT=1`, a notebook), a call of these
names picks the function at run time.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from numba.extending import overload

from fastars._compiled.borrowed import BorrowedType
from fastars._compiled.jit import INLINE


class EnvFunctions(NamedTuple):
    """The three scalar functions of a compiled environment."""

    reset: Callable[..., Any]
    observe: Callable[..., Any]
    step: Callable[..., Any]


class LanePhysics(NamedTuple):
    """The two functions of a physics over lanes."""

    step: Callable[..., Any]
    forward: Callable[..., Any]


_FUNCTIONS: dict[type, EnvFunctions] = {}
_LANE_PHYSICS: dict[type, LanePhysics] = {}


def register_functions(env_type: type, reset: Callable[..., Any], observe: Callable[..., Any], step: Callable[..., Any]) -> None:
    """Register the functions of an environment (compiled by `jit.inline`) for the NamedTuple class of its constants."""
    _FUNCTIONS[env_type] = EnvFunctions(reset, observe, step)


def register_lane_physics(physics_type: type, step: Callable[..., Any], forward: Callable[..., Any]) -> None:
    """Register the functions of a physics over lanes for the class of `SimulationLanes.physics`.

    Both take the lanes, and `step` also the number of steps. They may be compiled by `jit.inline` or `jit.kernel`.
    """
    _LANE_PHYSICS[physics_type] = LanePhysics(step, forward)


def scalar_functions(env_type: Any) -> EnvFunctions | None:
    """Return the scalar functions for the class of an environment's constants; None if there are none."""
    return _FUNCTIONS.get(env_type)


def _functions_of(numba_type: Any) -> Any:
    return scalar_functions(getattr(numba_type, "instance_class", None))


def reset(env, rng):
    """Draw the initial state of an episode from `rng`."""
    return _FUNCTIONS[type(env)].reset(env, rng)


@overload(reset, jit_options=INLINE)
def _reset(env, rng):
    functions = _functions_of(env)
    if functions is not None:
        kernel = functions.reset
        return lambda env, rng: kernel(env, rng)


def observe(env, state):
    """Return the observation of a state: a tuple of float32."""
    return _FUNCTIONS[type(env)].observe(env, state)


@overload(observe, jit_options=INLINE)
def _observe(env, state):
    functions = _functions_of(env)
    if functions is not None:
        kernel = functions.observe
        return lambda env, state: kernel(env, state)


def step(env, state, action):
    """Take one step: (next state, reward, True if the episode terminated)."""
    return _FUNCTIONS[type(env)].step(env, state, action)


@overload(step, jit_options=INLINE)
def _step(env, state, action):
    functions = _functions_of(env)
    if functions is not None:
        kernel = functions.step
        return lambda env, state, action: kernel(env, state, action)


def step_physics(lanes, n_steps):
    """Step every lane `n_steps` times, and write the outputs if they are wanted."""
    _LANE_PHYSICS[type(lanes.physics)].step(lanes, n_steps)


@overload(step_physics, jit_options=INLINE)
def _step_physics(lanes, n_steps):
    kernel = _lane_physics_of(lanes).step
    return lambda lanes, n_steps: kernel(lanes, n_steps)


def forward_physics(lanes):
    """Write the outputs of every lane's present state."""
    _LANE_PHYSICS[type(lanes.physics)].forward(lanes)


@overload(forward_physics, jit_options=INLINE)
def _forward_physics(lanes):
    kernel = _lane_physics_of(lanes).forward
    return lambda lanes: kernel(lanes)


def _lane_physics_of(lanes: Any) -> LanePhysics:
    lanes = lanes.kind if isinstance(lanes, BorrowedType) else lanes
    return _LANE_PHYSICS[lanes.types[lanes.fields.index("physics")].instance_class]

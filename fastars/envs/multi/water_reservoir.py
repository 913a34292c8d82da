"""water-reservoir-v0, exact to mo-gymnasium's `DamEnv` (Castelletti, Pianosi & Restelli 2012), except that its time limit comes
from `gymnasium.make`, and not from an argument of its own.

The inflow is drawn in every step from the generator that drew the initial level, so the generator is part of the state: its four
words, in halves of 32 bits, which a float64 holds exactly.

All is computed in float32 but the sum of level and inflow, as in mo-gymnasium.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.jit import inline
from fastars._compiled.protocol import register_functions
from fastars._compiled.rng import next_uint64, standard_normal
from fastars._compiled.tuples import leading
from fastars._validate import boolean, integer
from fastars.envs.multi.base import MultiEnv, box32

_F, _U = np.float32, np.uint64
_WORD, _32 = _U(0xFFFFFFFF), _U(32)
WATER_DEMAND = _F(50.0)
FLOOD_UPSTREAM, FLOOD_DOWNSTREAM = _F(50.0), _F(30.0)  # levels and releases beyond them do damage
MAX_CAPACITY = _F(100.0)  # water above this level has to be released
INFLOW_MEAN, INFLOW_STD = 40.0, 10.0
POWER_DEMAND = _F(4.36)
WEIGHT, PER_HOUR = _F(9.81 * 1000.0), _F(3.6e6)  # of a unit of water, N; J in a kWh
_LEVELS = (96.855361, 58.046026, 116.15767, 20.164311, 79.191, 140.13098, 131.01816, 44.351321, 13.185943, 73.508622)
LEVELS = np.array(_LEVELS, np.float32)  # an episode starts at one of them
N_WHOLE_LEVELS = 160  # or, where the bounds of actions are enforced by a penalty, at one of 0 to 159


class WaterReservoir(NamedTuple):
    """Constants of water-reservoir. Values in the tuple are ignored: its length selects the specialization."""

    objectives: tuple[float, ...] = (0.0, 0.0)
    penalize: bool = False
    normalized_action: bool = False


class WaterReservoirEnv(MultiEnv):
    """A dam to be kept from flooding, upstream and downstream, and from running dry.

    Parameters
    ----------
    nO : int
        Entries of the reward: 2, 3 or 4.
    penalize : bool
        Put a penalty on the part of an action that is out of bounds.
    normalized_action : bool
        Let 0 stand for the least that can be released and 1 for the most.
    """

    def __init__(
        self,
        render_mode: str | None = None,
        nO: int = 2,
        penalize: bool = False,
        normalized_action: bool = False,
    ) -> None:
        kwargs: dict[str, Any] = {
            "nO": integer("nO", nO, 2, 4),
            "penalize": boolean("penalize", penalize),
            "normalized_action": boolean("normalized_action", normalized_action),
        }
        n_rewards = kwargs["nO"]
        super().__init__(
            WaterReservoir((0.0,) * n_rewards, kwargs["penalize"], kwargs["normalized_action"]),
            kwargs,
            box32([0.0], [np.inf]),
            box32([0.0], [1.0 if normalized_action else np.inf]),
            box32([-np.inf] * n_rewards, [0.0] * n_rewards),
            ("flood_upstream", "water_deficit", "power_deficit", "flood_downstream")[:n_rewards],
            render_mode=render_mode,
        )


@inline
def draw_below(n: Any, rng: Any) -> Any:
    """Draw an index below n, as `Generator.integers` draws its first one: 32 bits scaled (Lemire 2019), the lower half first."""
    least = (_U(2**32) - _U(n)) % _U(n)
    while rng[3] != _U(0):  # kernels that ask for the length of a state give zeros, which would be drawn for ever
        bits = next_uint64(rng)
        low, high = (bits & _WORD) * _U(n), (bits >> _32) * _U(n)
        if low & _WORD >= least:
            return low >> _32
        if high & _WORD >= least:  # one draw in a billion
            return high >> _32
    return _U(0)


@inline
def halves(word: Any) -> Any:
    return np.float64(word >> _32), np.float64(word & _WORD)


@inline
def joined(high: Any, low: Any) -> Any:
    return _U(high) << _32 | _U(low)


@inline
def reset(env: Any, rng: Any) -> Any:
    if env.penalize:
        level = np.float64(draw_below(N_WHOLE_LEVELS, rng))
    else:
        level = np.float64(LEVELS[np.intp(draw_below(LEVELS.shape[0], rng))])
    state = (level, *halves(rng[0]), *halves(rng[1]), *halves(rng[2]), *halves(rng[3]))
    # Differs from mo-gymnasium, where a reset without a seed goes on from the last step: the numbers that follow here belong to
    # the steps of this episode, so the generator is put somewhere else.
    high, low = next_uint64(rng), next_uint64(rng)
    rng[0], rng[1] = high, low
    return state


@inline
def observe(env: Any, state: Any) -> Any:
    return (_F(state[0]),)


@inline
def positive(x: Any) -> Any:
    """Return the number, or 0 in place of a negative one; NaN stays NaN."""
    return _F(0.0) if x < _F(0.0) else x


@inline
def step(env: Any, state: Any, action: Any) -> Any:
    level, wanted = _F(state[0]), action[0]
    least, most = positive(level - MAX_CAPACITY), level
    bounded = least if wanted < least else wanted
    bounded = most if bounded > most else bounded
    released = wanted * (most - least) + least if env.normalized_action else bounded
    fine = _F(-1.0) if env.penalize else _F(0.0)
    penalty = _F(0.0) if env.normalized_action else fine * abs(bounded - wanted)

    rng = np.empty(4, np.uint64)
    rng[0], rng[1] = joined(state[1], state[2]), joined(state[3], state[4])
    rng[2], rng[3] = joined(state[5], state[6]), joined(state[7], state[8])
    filled = np.float64(level) + (INFLOW_MEAN + INFLOW_STD * standard_normal(rng)) - np.float64(released)
    level = _F(0.0 if filled < 0.0 else filled)
    after = (np.float64(level), *halves(rng[0]), *halves(rng[1]), state[5], state[6], state[7], state[8])

    power = WEIGHT * level * positive(released) / PER_HOUR
    rewards = (
        np.float64(-positive(level - FLOOD_UPSTREAM) + penalty),
        np.float64(-positive(WATER_DEMAND - released) + penalty),
        np.float64(-positive(POWER_DEMAND - power) + penalty),
        np.float64(-positive(released - FLOOD_DOWNSTREAM) + penalty),
    )
    return after, leading(rewards, env.objectives), False


register_functions(WaterReservoir, reset, observe, step)

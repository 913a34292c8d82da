"""deep-sea-treasure-v0, exact to mo-gymnasium's `DeepSeaTreasure` (Vamplew et al. 2011; maps of Yang et al. 2019, Vamplew et al.
2018 and Felten et al. 2022). Its variants -concave and -mirrored are the same with other maps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Box, Discrete

from fastars._compiled.jit import inline
from fastars._compiled.protocol import register_functions
from fastars._validate import boolean
from fastars.envs.multi.base import MultiEnv, box32

N_ROWS = 11
ROCK = -10.0
MAPS = ("convex", "concave", "mirrored")
_WIDTHS = (11, 11, 20)
# For each column, the row in which the water ends, and the value found there: a treasure or rock. Below is rock.
_ONE_SIDE = (1, 2, 3, 4, 4, 4, 7, 7, 9, 10, N_ROWS)
_CONVEX = (0.7, 8.2, 11.5, 14.0, 15.1, 16.1, 19.6, 20.3, 22.4, 23.7, ROCK)
_CONCAVE = (1.0, 2.0, 3.0, 5.0, 8.0, 16.0, 24.0, 50.0, 74.0, 124.0, ROCK)
_OTHER_SIDE = (N_ROWS, 10, 8, 8, 5, 5, 5, 4, 3, 2)
_FILL = (0,) * 9
_BOTTOM = np.array([(*_ONE_SIDE, *_FILL), (*_ONE_SIDE, *_FILL), (*_OTHER_SIDE, *_ONE_SIDE[:10])])
_FOUND = np.array([(*_CONVEX, *_FILL), (*_CONCAVE, *_FILL), ((ROCK,) * 10 + _CONCAVE[:10])], np.float64)
# The surface above the first treasure of the mirrored map.
_START_COLUMNS = (0.0, 0.0, 10.0)


class DeepSeaTreasure(NamedTuple):
    """Constants of deep-sea-treasure."""

    map: int = 0  # index of `MAPS`
    n_columns: int = 11
    start: float = 0.0  # column
    float_state: bool = False  # True: a tenth of the position is observed


class DeepSeaTreasureEnv(MultiEnv):
    """A submarine that looks for treasures: deeper ones are worth more, and take more time to reach.

    Parameters
    ----------
    dst_map : {"convex", "concave", "mirrored"} or array_like
        The name of a map, or the map itself as mo-gymnasium has it.
    float_state : bool
        Observe a tenth of the position, as float32, instead of row and column as integers.
    """

    def __init__(self, render_mode: str | None = None, dst_map: Any = "convex", float_state: bool = False) -> None:
        name = _map_name(dst_map)
        index, float_state = MAPS.index(name), boolean("float_state", float_state)
        width = _WIDTHS[index]
        positions = box32([0.0, 0.0], [1.0, 1.0]) if float_state else Box(0, width, (2,), np.int32)
        super().__init__(
            DeepSeaTreasure(index, width, _START_COLUMNS[index], float_state),
            {"dst_map": name, "float_state": float_state},
            positions,
            Discrete(4),
            box32([0.0, -1.0], [_FOUND[index].max(), -1.0]),
            ("treasure", "time"),
            render_mode=render_mode,
        )


def sea_map(name: str) -> np.ndarray:
    """Return a map, (11, 11) or (11, 20), as mo-gymnasium has it: 0 is water, -10 rock, any other value a treasure."""
    index = MAPS.index(name)
    rows, bottom, found = np.arange(N_ROWS)[:, None], _BOTTOM[index], _FOUND[index]
    return np.where(rows < bottom, 0.0, np.where(rows == bottom, found, ROCK))[:, : _WIDTHS[index]]


def _map_name(dst_map: Any) -> str:
    if isinstance(dst_map, str) and dst_map in MAPS:
        return dst_map
    if not isinstance(dst_map, str):
        for name in MAPS:
            if np.array_equal(sea_map(name), dst_map):
                return name
    raise ValueError(f"dst_map must be one of {', '.join(map(repr, MAPS))}, or one of these maps of mo-gymnasium, got {dst_map!r}")


@inline
def reset(env: Any, rng: Any) -> Any:
    return 0.0, env.start


@inline
def observe(env: Any, state: Any) -> Any:
    row, column = np.float32(state[0]), np.float32(state[1])
    tenth = np.float32(0.1)
    return row * tenth if env.float_state else row, column * tenth if env.float_state else column


@inline
def step(env: Any, state: Any, action: Any) -> Any:
    """Up, down, left and right are 0 to 3. A move that would leave the sea has no effect."""
    row = np.int64(state[0]) + (1 if action == 1 else 0) - (1 if action == 0 else 0)
    column = np.int64(state[1]) + (1 if action == 3 else 0) - (1 if action == 2 else 0)
    inside = (row >= 0) & (row < N_ROWS) & (column >= 0) & (column < env.n_columns)
    at = column if inside else 0
    bottom, found = _BOTTOM[env.map, at], _FOUND[env.map, at]
    moves = inside & ((row < bottom) | ((row == bottom) & (found != ROCK)))
    is_treasure = moves & (row == bottom)
    treasure = np.float64(np.float32(found)) if is_treasure else 0.0  # rewards are float32
    after = np.float64(row) if moves else state[0], np.float64(column) if moves else state[1]
    return after, (treasure, -1.0), is_treasure


register_functions(DeepSeaTreasure, reset, observe, step)

"""Episodes that ran over SIMD lanes, beside the same episodes in plain Gymnasium.

Over lanes again, an episode gives the same bits. In Gymnasium it gives other ones: each step differs by rounding, and contacts let
such differences grow until the episodes are different ones. So two things can be asked for: the first steps agree closely, and the
returns of whole episodes have the same mean.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from fastars.envs import CompiledEnv
from fastars.samplers import make_sampler

if TYPE_CHECKING:
    from fastars.cli.recorded_episodes import RecordedEpisodes

FIRST_STEPS = 10
TOLERANCE = 1e-6  # of the return of the first steps, relative to 1 and to the return
MOST_ERRORS = 5.0  # standard errors between the means of whole episodes


class Comparison(NamedTuple):
    """Episodes over lanes and in Gymnasium.

    Attributes
    ----------
    first_difference : float
        Largest difference between returns of the first steps, relative to 1 and to the return.
    means : (float, float)
        Mean return of whole episodes over lanes, and in Gymnasium.
    error : float
        Standard error of the difference of the means, as if the episodes were drawn one by one.
    n : int
        Number of episodes.
    """

    first_difference: float
    means: tuple[float, float]
    error: float
    n: int

    @property
    def problems(self) -> list[str]:
        """Sentences on each way in which the episodes do not agree."""
        found = []
        if not self.first_difference <= TOLERANCE:
            found.append(f"the first {FIRST_STEPS} steps over lanes give other returns than in Gymnasium: {self.facts[0]}")
        if not self._distance <= MOST_ERRORS * self.error + TOLERANCE * max(map(abs, self.means)):
            found.append(f"episodes over lanes have another mean return than in Gymnasium: {self.facts[1]}")
        return found

    @property
    def facts(self) -> list[str]:
        """Sentences on the two comparisons."""
        lanes, gymnasium = self.means
        first = (
            f"first {FIRST_STEPS} steps of {self.n} episodes over lanes: returns within {self.first_difference:.1g} of Gymnasium's"
        )
        whole = f"mean return over lanes {lanes:.2f}, of the same episodes in Gymnasium {gymnasium:.2f}"
        return [
            f"{first} (allowed: {TOLERANCE:g})",
            f"{whole}; standard error of the difference {self.error:.4g} (allowed: {MOST_ERRORS:g} of them)",
        ]

    @property
    def _distance(self) -> float:
        return abs(self.means[0] - self.means[1])


def compared_with_gymnasium(drawn: Sequence[tuple[RecordedEpisodes, int]]) -> Comparison:
    """Run episodes in Gymnasium that ran over lanes; `drawn` are pairs of recorded episodes and an index, at least one."""
    first, lanes, gymnasium = list[float](), list[float](), list[float]()
    for recorded, i in drawn:
        first.append(_first_difference(recorded, i))
        lanes.append(recorded.results[i].total)
        gymnasium.append(recorded.in_gymnasium(i).total)
    return Comparison(max(first), (_mean(lanes), _mean(gymnasium)), _standard_error(lanes, gymnasium), len(first))


def _first_difference(recorded: RecordedEpisodes, i: int) -> float:
    """Return the relative difference of the return of the first steps."""
    run = recorded.trained.model.run
    env = cast(CompiledEnv, run.env)  # several environments can't be replayed
    short = env._replace(max_steps=min(FIRST_STEPS, env.max_steps))
    with contextlib.closing(make_sampler(short, run.policy, run.config.clip_actions, run.config.squash_output, 1)) as sampler:
        lanes = recorded.over_lanes(i, sampler).total
    gymnasium = recorded.in_gymnasium(i, FIRST_STEPS).total
    return abs(lanes - gymnasium) / max(1.0, abs(gymnasium))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _standard_error(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the standard error of the difference of two means; infinite for a single value."""
    if len(a) < 2:
        return math.inf
    squares = [math.fsum((x - _mean(values)) ** 2 for x in values) for values in (a, b)]
    return math.sqrt(sum(squares) / ((len(a) - 1) * len(a)))

"""Results of some of the episodes of an evaluation."""

from __future__ import annotations

from typing import Any

from fastars._compiled.structs import Moments, Rollouts


def part_of(out: Rollouts, episodes: slice) -> Rollouts:
    """Return views of the results of some episodes."""
    count, mean, m2 = out.moments
    return out._replace(
        returns=out.returns[episodes],
        lengths=out.lengths[episodes],
        status=out.status[episodes],
        moments=Moments(count[episodes], mean[episodes], m2[episodes]),
        task_returns=out.task_returns[episodes],
    )


def write_part(out: Rollouts, episodes: slice | list[int], part: Rollouts) -> None:
    """Copy the results of some episodes to their places."""
    for ours, theirs in zip(_arrays(out), _arrays(part), strict=True):
        if len(theirs):
            ours[episodes] = theirs


def _arrays(out: Rollouts) -> tuple[Any, ...]:
    """Return the arrays with a row per episode. The moments have no rows if they are not tracked."""
    return out.returns, out.lengths, out.status, *out.moments, out.task_returns

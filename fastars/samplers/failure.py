"""Failed attempts at an episode of an environment in Python."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from fastars._printable import printable

ATTEMPTS = 2  # at an episode, before its status is `FAILED`


class Failure(NamedTuple):
    """A failed attempt at an episode."""

    episode: int  # its index among the episodes of the evaluation
    seed: int
    attempt: int  # 1 or 2
    is_final: bool  # True if no other attempt follows: the episode's status is `FAILED`
    text: str  # the environment's traceback, or how the process that it ran in ended


OnFailure = Callable[[Failure], None]  # an argument of `Sampler.evaluate`


def log_failure(failure: Failure) -> None:
    """Log a failed attempt as a warning."""
    logging.getLogger("fastars").warning(
        "episode %d (seed %d) failed, attempt %d of %d: %s",
        failure.episode,
        failure.seed,
        failure.attempt,
        ATTEMPTS,
        printable(failure.text.rstrip(), keep="\n\t"),
    )

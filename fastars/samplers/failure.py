"""Failed attempts at an episode of an environment in Python, and episodes without a return."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from fastars._compiled.structs import NONFINITE, UNSTABLE, Rollouts
from fastars._printable import printable

ATTEMPTS = 2  # at an episode, before its status is `FAILED`
_WITHOUT_RETURN = {NONFINITE: "with a NaN or infinite observation or reward", UNSTABLE: "of an unstable simulation"}


class EpisodeError(RuntimeError):
    """An episode failed in another process; the text is the traceback there, or how the process ended."""


class Failure(NamedTuple):
    """A failed attempt at an episode."""

    episode: int  # its index among the episodes of the evaluation
    seed: int
    attempt: int  # 1 or 2
    is_final: bool  # True if no other attempt follows: the episode's status is `FAILED`
    text: str  # the environment's traceback, or how the process that it ran in ended
    error: BaseException | None = None  # the exception, if it was raised in this process

    @property
    def cause(self) -> BaseException:
        """The exception that other errors are raised from."""
        return EpisodeError(self.text) if self.error is None else self.error

    @property
    def summary(self) -> str:
        """The last line of the text: the exception, as a rule."""
        return self.text.strip().rpartition("\n")[2]


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


def log_missing_returns(env_id: str, rollouts: Rollouts) -> None:
    """Log a warning if episodes of an evaluation have no return. Failed ones are left out: each is logged by itself."""
    numbers = {words: int((rollouts.status == status).sum()) for status, words in _WITHOUT_RETURN.items()}
    if any(numbers.values()):
        causes = ", ".join(f"{n} {words}" for words, n in numbers.items() if n)
        logging.getLogger("fastars").warning(
            "%s: of %d episodes of an evaluation, %d have no return: %s",
            printable(env_id),
            len(rollouts.returns),
            sum(numbers.values()),
            causes,
        )

"""The interface that all samplers have."""

from __future__ import annotations

from typing import Any, Protocol

from fastars._compiled.structs import Filter, Rollouts, SeedArray
from fastars.samplers.failure import OnFailure, log_failure


class Sampler(Protocol):
    """Runs the episodes of candidates."""

    @property
    def description(self) -> str:
        """Words for the place where episodes run, and for the reason."""

    @property
    def takes_perturbed(self) -> bool:
        """True if `evaluate` wants perturbed candidates as `Candidates`, however few they are: they are sent to other machines."""

    def evaluate(
        self,
        weights: Any,
        filter: Filter,
        seeds: SeedArray,
        track: bool,
        reward_weights: Any = None,
        on_failure: OnFailure = log_failure,
    ) -> Rollouts:
        """Run episodes.

        Parameters
        ----------
        weights : ndarray of float64, shape (n, n_weights), or Candidates
            The flat weights of a candidate per row. `Candidates` stand for such an array: each is made where its episodes run.
        filter : Filter
            Applied to every observation.
        seeds : ndarray of uint64, shape (m,)
            A seed per episode, m a multiple of n: episode j runs candidate j // (m // n) and starts as `env.reset(seed=seeds[j])`.
        track : bool
            True if the moments of the observations are wanted.
        reward_weights : array_like of float, shape (n_tasks,), optional
            The rewards of a step are multiplied by these weights, and summed, for `returns`. Default: 1 each.
        on_failure : callable, optional
            Called with a `Failure` for each failed attempt at an episode, as soon as it is known. An exception that it raises ends
            the evaluation. Default: log the failure. Compiled environments have no failures.

        Returns
        -------
        Rollouts
            Results of the m episodes. They depend on the arguments alone, wherever the episodes run. `n_failures` and `n_restarts`
            count what went wrong on the way.

        Raises
        ------
        ValueError
            If `reward_weights` are not n_tasks finite numbers, or are given where the reward is a number.
        fastars.WorkerError
            If worker processes or Ray actors can't make their environment, or are lost again and again.
        fastars.SimulationError
            If MuJoCo failed.
        """

    def start(self, wait: bool = False) -> None:
        """Start worker processes, so that they make their environments while this process does other things.

        Parameters
        ----------
        wait : bool
            True if the call returns only when they are ready. It then raises the errors of worker processes that can't start.
        """

    def close(self) -> None:
        """Close environments and end worker processes. The next `evaluate` makes new ones."""

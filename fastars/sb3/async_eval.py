"""`AsyncEval` of stable-baselines3-contrib: the number of processes that run an environment in Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastars._validate import user_facing
from fastars.training.policy import ARSPolicy


class AsyncEval:
    """The number of processes that run an environment in Python, set as in stable-baselines3-contrib.

    Parameters
    ----------
    envs_fn : sequence of callable
        One for each process. fastars does not call them: the processes run the environment of the model.
    train_policy : fastars.training.policy.ARSPolicy, optional
        `model.policy`: the processes of this model start now. Without it they start in `learn(async_eval=...)`.
    start_method, n_eval_episodes
        Accepted, without effect.

    Raises
    ------
    TypeError
        If `envs_fn` is no sequence.
    ValueError
        If `envs_fn` is empty, and `train_policy` belongs to a model.
    """

    @user_facing
    def __init__(
        self, envs_fn: Sequence[Any], train_policy: Any = None, start_method: str | None = None, n_eval_episodes: int = 1
    ) -> None:
        if not isinstance(envs_fn, Sequence):
            raise TypeError(f"envs_fn must be a sequence of functions, one for each process, got {envs_fn!r}")
        self.n_workers = len(envs_fn)
        self._policy = train_policy if isinstance(train_policy, ARSPolicy) else None
        if (model := self._model()) is not None:
            model.take_workers(self)

    def _model(self) -> Any:
        """Return the model that the policy belongs to; None if there is none, or no longer."""
        return None if self._policy is None else self._policy.trainer()

    def seed(self, seed: int | None = None) -> list[None]:
        """Wait until the processes have started. The seed is without effect: the seed of the model decides.

        Raises
        ------
        WorkerError
            If a process can't make its environment.
        """
        if (model := self._model()) is not None:
            model.start_workers(wait=True)
        return [None] * self.n_workers

    def close(self) -> None:
        """Do nothing: `ARS.close` ends the processes."""

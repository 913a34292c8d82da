"""The workers of an algorithm: RLlib's ARS keeps a list of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastars.rllib.policy import POLICY_ID, Policy


class Worker:
    """A worker, for scripts that read from it. All share the policy of the algorithm, and none has a process of its own.

    Attributes
    ----------
    worker_index : int
        From 1 on; 0 for the local worker.
    config : ARSConfig
    policy : Policy
    """

    def __init__(self, algorithm: Any, worker_index: int) -> None:
        self._algorithm, self.worker_index, self.config = algorithm, worker_index, algorithm.config

    @property
    def policy(self) -> Policy:
        """The policy of the algorithm."""
        return self._algorithm.get_policy()

    @property
    def filters(self) -> dict[str, Any]:
        """The filter of observations by policy."""
        return {POLICY_ID: self.policy.observation_filter}

    @property
    def env(self) -> Any:
        """An environment like those that episodes run in."""
        return self._algorithm.model.get_env()

    def get_policy(self, policy_id: str = POLICY_ID) -> Policy:
        """Return the policy."""
        return self._algorithm.get_policy(policy_id)

    def get_weights(self, policies: Any = None) -> dict[str, Any]:
        """Return the weights by policy and layer."""
        return self._algorithm.get_weights(policies)

    def for_policy(self, function: Callable[[Policy], Any], policy_id: str = POLICY_ID) -> Any:
        """Return what a function returns for the policy."""
        return function(self.get_policy(policy_id))


class Workers(list[Worker]):
    """The workers, as a list with the methods of RLlib's `WorkerSet`."""

    def __init__(self, algorithm: Any) -> None:
        super().__init__(Worker(algorithm, i + 1) for i in range(int(algorithm.config.num_rollout_workers)))
        self._local = Worker(algorithm, 0)

    def local_worker(self) -> Worker:
        """Return the worker of this process."""
        return self._local

    def remote_workers(self) -> list[Worker]:
        """Return the other workers."""
        return list(self)

    def num_remote_workers(self) -> int:
        """Return the number of the other workers."""
        return len(self)

    def foreach_worker(self, function: Callable[[Worker], Any], *, local_worker: bool = True, **_: Any) -> list[Any]:
        """Return what a function returns for each worker, the local one first."""
        return [function(worker) for worker in ([self._local, *self] if local_worker else self)]

    def foreach_policy(self, function: Callable[[Policy, str], Any]) -> list[Any]:
        """Return what a function of a policy and its id returns; all workers share one policy."""
        return [function(self._local.policy, POLICY_ID)]

    def foreach_env(self, function: Callable[[Any], Any]) -> list[list[Any]]:
        """Return what a function returns for the environment, as the list of the local worker."""
        return [[function(self._local.env)]]

    num_healthy_remote_workers = num_remote_workers

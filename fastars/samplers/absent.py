"""Stand for the sampler of a model without an environment."""

from __future__ import annotations

from typing import Any

from fastars._compiled.structs import Rollouts
from fastars.envs.absent import AbsentEnv
from fastars.files.errors import CheckpointError


class AbsentSampler:
    """Runs no episode: each evaluation raises a CheckpointError that says why there is no environment, and what helps."""

    takes_perturbed = False

    def __init__(self, env: AbsentEnv) -> None:
        self.env = env

    @property
    def description(self) -> str:
        """Words for the place where episodes run."""
        return f"nowhere yet: {self.env.reason}"

    def evaluate(self, *args: Any, **kwargs: Any) -> Rollouts:
        """Raise a CheckpointError."""
        raise CheckpointError(self.env.reason)

    def start(self, wait: bool = False) -> None:
        """Do nothing: there is no process."""

    def close(self) -> None:
        """Do nothing: there is no environment."""

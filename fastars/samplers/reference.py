"""The NumPy reference's loop over Gymnasium, as a sampler."""

from __future__ import annotations

from typing import Any

from fastars import reference
from fastars._compiled.structs import Filter, FloatArray, Rollouts, SeedArray
from fastars.envs import CompiledEnv, quiet
from fastars.samplers.compiled import padded, weighted


class ReferenceSampler:
    """Runs the episodes of an environment that is compiled without any kernel, one after the other."""

    description = "in the NumPy reference's loop over Gymnasium"

    def __init__(self, env: CompiledEnv, task: Any) -> None:
        self.task = task._replace(env=env)

    def __repr__(self) -> str:
        return f"<ReferenceSampler of {self.task.env.id}: {self.description}>"

    def evaluate(self, weights: FloatArray, filter: Filter, seeds: SeedArray, track: bool, reward_weights: Any = None) -> Rollouts:
        """Run every episode; the arguments are those of `Sampler`."""
        with quiet(self.task.env.id):
            weights = padded(weights, self.task.policy, len(self.task.low))
            return reference.rollouts(weighted(self.task, reward_weights), filter, weights, seeds, track)

    def close(self) -> None:
        """There is nothing to let go of."""

"""Evaluate candidates with the NumPy reference, in a plain loop over Gymnasium."""

from __future__ import annotations

from typing import Any

from fastars import reference
from fastars._compiled.structs import Filter, FloatArray, Rollouts, RolloutSpec, SeedArray
from fastars.envs import CompiledEnv, quiet
from fastars.samplers.candidates import Candidates, in_pieces
from fastars.samplers.failure import OnFailure, log_failure
from fastars.samplers.kernel_inputs import padded_weights, with_reward_weights


class ReferenceSampler:
    """Runs the episodes of a compiled environment without any kernel, one after the other.

    Parameters
    ----------
    env : CompiledEnv
    spec : RolloutSpec
        From `env.rollout_spec(policy)`.
    """

    takes_perturbed = False
    description = "in the NumPy reference's loop over Gymnasium"

    def __init__(self, env: CompiledEnv, spec: RolloutSpec) -> None:
        self.env = env
        self.spec = spec._replace(env=env)  # the twin makes the environment by its id

    def __repr__(self) -> str:
        return f"<ReferenceSampler of {self.env.id}: {self.description}>"

    def evaluate(
        self,
        weights: FloatArray | Candidates,
        filter: Filter,
        seeds: SeedArray,
        track: bool,
        reward_weights: Any = None,
        on_failure: OnFailure = log_failure,
    ) -> Rollouts:
        """Run every episode, as `Sampler.evaluate` describes. An exception of the environment is passed on."""
        spec = with_reward_weights(self.spec, reward_weights)

        def evaluate(rows: FloatArray, some: SeedArray) -> Rollouts:
            return Rollouts(*reference.rollouts(spec, filter, padded_weights(rows, spec), some, track))

        with quiet(self.env.id):
            if not isinstance(weights, Candidates):
                return evaluate(weights, seeds)
            return in_pieces(evaluate, weights, filter, seeds, track, len(spec.reward_weights))

    def start(self, wait: bool = False) -> None:
        """Do nothing: there are no worker processes."""

    def close(self) -> None:
        """Do nothing: each evaluation closes its environment."""

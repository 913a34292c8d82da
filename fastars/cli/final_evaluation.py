"""The evaluation of the last and the best policy of a run, in fresh episodes: those that chose the best policy would flatter it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import gymnasium

from fastars._compiled.structs import FAILED
from fastars.cli.environment import changed_kwargs
from fastars.cli.run_folder import finished

if TYPE_CHECKING:
    from fastars._compiled.structs import Rollouts
    from fastars.ars import ARS

FINAL_SEED = 0  # `fastars eval` replays the same episodes in the same order


class FinalEvaluation(NamedTuple):
    """Policies and their rollouts, without episodes in which the environment failed."""

    policies: dict[str, tuple[ARS, Rollouts]]  # by name: "last", "best"
    n_failed: int

    def returns(self) -> dict[str, float]:
        """Return the mean return of each policy."""
        return {name: float(rollouts.returns.mean()) for name, (_, rollouts) in self.policies.items()}


def evaluate_finally(policies: Mapping[str, ARS], n_episodes: int) -> FinalEvaluation:
    """Evaluate policies in the episodes of the final evaluation."""
    rollouts = {name: policy.evaluate(n_episodes, seed=FINAL_SEED) for name, policy in policies.items()}
    n_failed = sum(int((each.status == FAILED).sum()) for each in rollouts.values())
    return FinalEvaluation({name: (policy, finished(rollouts[name])) for name, policy in policies.items()}, n_failed)


def episodes_text(model: ARS, n_episodes: int, n_failed: int) -> str:
    """Describe the episodes of a final evaluation."""
    plural = "" if n_episodes == 1 else "s"
    text = f"{n_episodes} episode{plural} of each policy, reset with seeds {FINAL_SEED}, {FINAL_SEED + 1}, ..."
    if model.config.physics == "lanes":
        text += ", in MuJoCo and not over lanes"
    return f"{text}; without {n_failed} in which the environment failed" if n_failed else text


def threshold_of(model: ARS) -> float | None:
    """Return the return from which the environment of a run counts as solved; None if it has none, or is not the registered one."""
    changed = changed_kwargs(model.env_id, model.env_kwargs)
    is_weighted = model.objectives is not None and (model.objectives.utility != 1.0).any()
    return None if changed or is_weighted else gymnasium.spec(model.env_id).reward_threshold

"""What scripts written for stable-baselines3 read on a model, by the names that it has there."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from fastars._compiled.structs import FloatArray
from fastars.sb3.vec_env import EnvInput
from fastars.training.config import POLICY_KWARGS
from fastars.training.policy import Policy

if TYPE_CHECKING:
    import numpy as np

    from fastars.training.config import Config


class SB3Attributes:
    """The attributes of `ARS` that are there for scripts. None of them is a state of its own."""

    use_sde = False

    policy: Policy
    config: Config
    iteration: int
    num_timesteps: int
    _given: EnvInput
    _recent: tuple[FloatArray, np.ndarray]
    _has_own_logger: bool
    _progress_remaining: float
    _learn_start: tuple[int, float] = (0, 0.0)  # steps, and seconds of `time.perf_counter`
    _total_timesteps: int = 0  # where the last call of `learn` was to end

    # --- Settings

    @property
    def device(self) -> str:
        """Where the kernels run: "cpu"."""
        return "cpu"

    @property
    def n_envs(self) -> int:
        """Environments of the vector environment that was given; 1 otherwise."""
        return self._given.n_envs

    @property
    def n_delta(self) -> int:
        """Directions per iteration."""
        return self.config.n_delta

    @property
    def pop_size(self) -> int:
        """Candidates per iteration, two for each direction."""
        return 2 * self.config.n_delta

    @property
    def n_top(self) -> int:
        """Directions used for the step."""
        return int(self.config.n_top)  # type: ignore[arg-type]

    @property
    def n_eval_episodes(self) -> int:
        """Episodes per candidate."""
        return self.config.n_eval_episodes

    @property
    def learning_rate(self) -> Any:
        """Step size, or the function of the progress remaining that gives it."""
        return self.config.learning_rate

    @property
    def delta_std(self) -> Any:
        """Exploration noise, or the function of the progress remaining that gives it."""
        return self.config.delta_std

    @property
    def alive_bonus_offset(self) -> float:
        """Added to the training return for every step."""
        return self.config.alive_bonus_offset

    @property
    def zero_policy(self) -> bool:
        """Whether the run started from zero weights."""
        return self.config.zero_policy

    @property
    def ep_info_buffer(self) -> deque[dict[str, Any]]:
        """Returns "r" and lengths "l" of the last episodes: `stats_window_size`, or those of an iteration if they are more."""
        returns, lengths = self._recent
        rows = zip(returns.tolist(), lengths.tolist(), strict=True)
        return deque(({"r": total, "l": length, "t": 0.0} for total, length in rows), maxlen=max(len(returns), 1))

    @property
    def n_params(self) -> int:
        """Weights of the policy."""
        return self.policy.weights.size

    @property
    def weights(self) -> FloatArray:
        """Flat weights of the policy, float64 (n_params,); `theta`."""
        return self.policy.weights

    @property
    def policy_class(self) -> type[Policy]:
        """The class of `policy`."""
        return type(self.policy)

    @property
    def policy_kwargs(self) -> dict[str, Any]:
        """Arguments of the policy, those that were not given too."""
        return {name: getattr(self.config, name) for name in POLICY_KWARGS[self.config.policy]}

    def lr_schedule(self, progress_remaining: float) -> float:
        """The step size at a progress remaining from 1 to 0."""
        return _scheduled(self.learning_rate, progress_remaining)

    def delta_std_schedule(self, progress_remaining: float) -> float:
        """The exploration noise at a progress remaining from 1 to 0."""
        return _scheduled(self.delta_std, progress_remaining)

    # --- The state of a run

    @property
    def start_time(self) -> int:
        """When the last call of `learn` began, in nanoseconds since 1970; 0 before the first."""
        start = self._learn_start[1]
        return time.time_ns() - int((time.perf_counter() - start) * 1e9) if start else 0

    @property
    def _num_timesteps_at_start(self) -> int:
        return self._learn_start[0]

    @property
    def _n_updates(self) -> int:
        return self.iteration

    @property
    def _current_progress_remaining(self) -> float:
        return self._progress_remaining

    @property
    def _custom_logger(self) -> bool:
        return self._has_own_logger

    @property
    def _vec_normalize_env(self) -> Any:
        return None if self._given.normalizer is None else self._given.normalizer.vec_normalize


def _scheduled(setting: Any, progress_remaining: float) -> float:
    return float(setting(progress_remaining) if callable(setting) else setting)

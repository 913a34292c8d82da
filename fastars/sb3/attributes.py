"""The attributes that scripts written for stable-baselines3 read on a model, under the names that they have there.

None of them is a state of its own: each is read from `model.run`, `model.state`, or the last call of `learn`.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, NamedTuple

from fastars.sb3.vec_env import EnvInput
from fastars.training.policy import ARSPolicy
from fastars.training.policy_modules import cpu_device, readable
from fastars.training.run_attributes import RunAttributes
from fastars.training.setting_checks import POLICY_KWARGS


class LearnCall(NamedTuple):
    """A call of `learn`."""

    first_step: int = 0  # steps done before it
    start: float = 0.0  # seconds of `time.perf_counter`; 0 before the first call
    total_timesteps: int = 0  # steps at which it ends


class SB3Attributes(RunAttributes):
    """Attributes of `ARS` for scripts written for stable-baselines3."""

    use_sde = False
    sde_sample_freq = -1
    action_noise = None
    processes = None
    _last_obs = None
    _last_episode_starts = None
    _last_original_obs = None

    policy: ARSPolicy
    _env_input: EnvInput
    _has_own_logger: bool
    _call: LearnCall
    _progress: float  # remaining in the call of `learn`, from 1 to 0

    # --- Settings

    @property
    def device(self) -> Any:
        """The device of the kernels, the CPU: PyTorch's device if the program has imported PyTorch, else "cpu"."""
        return cpu_device()

    @property
    def n_envs(self) -> int:
        """Environments of the given vector environment; 1 for any other."""
        return self._env_input.n_envs

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
        """Step size, or the function of the progress remaining that returns it."""
        return self.config.learning_rate

    @property
    def delta_std(self) -> Any:
        """Exploration noise, or the function of the progress remaining that returns it."""
        return self.config.delta_std

    @property
    def alive_bonus_offset(self) -> float:
        """Added to the training return for every step."""
        return self.config.alive_bonus_offset

    @property
    def zero_policy(self) -> bool:
        """True if the run started from zero weights."""
        return self.config.zero_policy

    @property
    def policy_class(self) -> type[ARSPolicy]:
        """The class of `policy`."""
        return type(self.policy)

    @property
    def policy_kwargs(self) -> dict[str, Any]:
        """Arguments of the policy, with the defaults."""
        return {name: getattr(self.config, name) for name in POLICY_KWARGS[self.config.policy]}

    def lr_schedule(self, progress_remaining: float) -> float:
        """Return the step size at a progress remaining from 1 to 0."""
        return _scheduled(self.learning_rate, progress_remaining)

    def delta_std_schedule(self, progress_remaining: float) -> float:
        """Return the exploration noise at a progress remaining from 1 to 0."""
        return _scheduled(self.delta_std, progress_remaining)

    # --- The state of a run

    @property
    def weights(self) -> Any:
        """Flat weights of the policy, which can't be written to; a tensor of float32 if the program has imported PyTorch."""
        return readable(self.state.theta)

    @property
    def n_params(self) -> int:
        """Weights of the policy, as `n_weights`."""
        return self.state.theta.size

    @property
    def ep_info_buffer(self) -> deque[dict[str, Any]]:
        """Returns "r" and lengths "l" of the last episodes: `stats_window_size`, or an iteration's if they are more."""
        returns, lengths = self.state.recent
        rows = zip(returns.tolist(), lengths.tolist(), strict=True)
        return deque(({"r": total, "l": length, "t": 0.0} for total, length in rows), maxlen=max(len(returns), 1))

    @property
    def ep_success_buffer(self) -> deque[bool]:
        """Empty: rollouts keep no infos."""
        return deque(maxlen=self.run.stats_window_size)

    @property
    def old_count(self) -> int:
        """Observations in the statistics that normalise them."""
        return self.state.moments.count

    @property
    def _stats_window_size(self) -> int:
        return self.run.stats_window_size

    @property
    def _episode_num(self) -> int:
        return self.num_episodes

    @property
    def start_time(self) -> int:
        """Time of the last call of `learn`, in nanoseconds since 1970; 0 before the first."""
        start = self._call.start
        return time.time_ns() - int((time.perf_counter() - start) * 1e9) if start else 0

    @property
    def _num_timesteps_at_start(self) -> int:
        return self._call.first_step

    @property
    def _total_timesteps(self) -> int:
        return self._call.total_timesteps

    @property
    def _n_updates(self) -> int:
        return self.iteration

    @property
    def _current_progress_remaining(self) -> float:
        return self._progress

    @property
    def _custom_logger(self) -> bool:
        return self._has_own_logger

    @property
    def _vec_normalize_env(self) -> Any:
        return self._env_input.vec_normalize


def _scheduled(setting: Any, progress_remaining: float) -> float:
    return float(setting(progress_remaining) if callable(setting) else setting)

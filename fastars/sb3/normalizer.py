"""The `VecNormalize` of stable-baselines3: read its settings, and keep its statistics equal to the statistics of a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.envs import UnsupportedEnvError

_INITIAL_COUNT = 1e-4  # of observations, with which the statistics of a VecNormalize begin


class Normalizer:
    """Settings and statistics of a `VecNormalize`, in the terms of a run.

    Parameters
    ----------
    vec_normalize : stable_baselines3.common.vec_env.VecNormalize
        The wrapper.

    Raises
    ------
    UnsupportedEnvError
        If it normalises dict observations.
    ValueError
        If its statistics are not finite.
    """

    def __init__(self, vec_normalize: Any) -> None:
        self.vec_normalize = vec_normalize
        if not self.is_on:
            return
        statistics = vec_normalize.obs_rms
        if isinstance(statistics, dict):
            raise UnsupportedEnvError(
                "env has a VecNormalize of dict observations, which keeps statistics for each entry apart: leave the wrapper out "
                "and give normalize_observations=True, which normalises all entries of the observation"
            )
        if not all(np.isfinite(part).all() for part in vars(statistics).values()):
            raise ValueError(
                "env has a VecNormalize whose obs_rms must be finite; an observation that was not finite may have changed it: got "
                f"mean {statistics.mean} and variance {statistics.var}"
            )

    @property
    def is_on(self) -> bool:
        """True if observations are normalised."""
        return bool(self.vec_normalize.norm_obs)

    @property
    def is_learning(self) -> bool:
        """True if new observations change the statistics."""
        return bool(self.vec_normalize.training)

    def settings(self) -> dict[str, Any]:
        """Return the fields of `Config` with which a run normalises as the wrapper does."""
        if not self.is_on:
            return {}
        return {
            "filter_ddof": 0,
            "filter_epsilon": 0.0,
            "filter_var_epsilon": float(self.vec_normalize.epsilon),
            "filter_min_std": 0.0,
            "clip_observations": float(self.vec_normalize.clip_obs),
        }

    def agreed(self, normalize_observations: bool | None) -> bool:
        """Return True if observations are normalised, by the wrapper and by the setting alike.

        Raises
        ------
        ValueError
            If wrapper and setting contradict each other. A setting of None agrees with both.
        """
        if normalize_observations not in (None, self.is_on):
            raise ValueError(
                f"env has a VecNormalize with norm_obs={self.is_on}, which contradicts "
                f"normalize_observations={normalize_observations}"
            )
        return self.is_on

    def moments(self) -> tuple[int, FloatArray, FloatArray] | None:
        """Return (count, mean, sum of squared deviations) of the observations that the wrapper has seen; None before the first."""
        statistics = self.vec_normalize.obs_rms if self.is_on else None
        if statistics is None or statistics.count < 1.0:
            return None
        count = round(float(statistics.count))
        mean, variance = (np.array(each, np.float64).ravel() for each in (statistics.mean, statistics.var))
        return count, mean, variance * count

    def begin(self, moments: tuple[int, FloatArray, FloatArray]) -> tuple[int, FloatArray, FloatArray]:
        """Return the moments with which a run goes on.

        If the wrapper has seen no observations, it takes over the moments of the run. If its moments differ from these by more than
        rounding, the wrapper's moments win.
        """
        found = self.moments()
        if found is None:
            self.follow(moments)
        elif found[0] != moments[0] or not np.allclose(found[1:], moments[1:], rtol=1e-9, atol=0.0):
            return found
        return moments

    def follow(self, moments: tuple[int, FloatArray, FloatArray]) -> None:
        """Write the moments of a run into the wrapper."""
        count, mean, m2 = moments
        if not self.is_on or count == 0:
            return
        statistics = self.vec_normalize.obs_rms
        statistics.mean = mean.reshape(np.shape(statistics.mean)).copy()
        statistics.var = (m2 / count).reshape(np.shape(statistics.var))
        statistics.count = count + _INITIAL_COUNT

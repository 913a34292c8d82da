"""The vector environments of stable-baselines3: theirs taken apart for rollouts of ours, and one of ours that behaves as theirs.

Theirs are known by the names of their classes: nothing of stable-baselines3 is imported unless the program has done so itself.
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.envs import UnsupportedEnvError, make

_PACKAGE = "stable_baselines3"
_COUNT_OF_NOTHING = 1e-4  # with which their statistics begin


class MonitorFile(NamedTuple):
    """A file of episodes that a `Monitor` keeps, of one environment, or a `VecMonitor`, of all."""

    writer: Any  # its `ResultsWriter`
    start: float  # of its clock, in seconds since 1970
    first: int = 0  # which environment it is of
    n_envs: int = 1  # among how many; 1: of all

    def write(self, returns: FloatArray, lengths: Any) -> None:
        """Add the rows of its environment: episodes are dealt out in turn. Columns of keywords stay empty, as rollouts keep neither
        those of resets nor those of infos.
        """
        returns, lengths = returns[self.first :: self.n_envs], lengths[self.first :: self.n_envs]
        end = f"{time.time() - self.start:.6f}" + "," * (len(self.writer.logger.fieldnames) - 3) + "\r\n"
        rows = zip(returns.tolist(), lengths.tolist(), strict=True)
        self.writer.file_handler.write("".join(f"{total:.6f},{length},{end}" for total, length in rows))
        self.writer.file_handler.flush()


class EnvInput(NamedTuple):
    """What a user gave as the environment."""

    env: Any  # as `fastars.envs.environment` takes it
    n_envs: int = 1  # environments side by side
    n_processes: int = 1  # that they run in
    monitors: tuple[MonitorFile, ...] = ()  # the files that `Monitor` wrappers keep
    vec_env: Any = None  # their vector environment, with all its wrappers
    normalizer: Normalizer | None = None  # the `VecNormalize` among these


def unwrap_env(env: Any) -> EnvInput:
    """The environments inside of what is stable-baselines3's; anything else as it is.

    `Monitor` and `VecMonitor` only watch: rollouts run without them, and the trainer writes the files that they keep.

    Raises
    ------
    UnsupportedEnvError
        For a wrapper of a vector environment that rollouts can't do without, or environments in other processes that nothing says
        how to make.
    """
    if not _is_theirs(env, "VecEnv"):
        bare, monitors = _unmonitored(env)
        return EnvInput(bare, monitors=monitors)
    inner, monitors, normalizer = env, (), None
    while hasattr(inner, "venv"):
        if _is_theirs(inner, "VecNormalize"):
            normalizer = Normalizer(inner)
        elif _is_theirs(inner, "VecMonitor"):
            monitors += _file(inner)
        else:
            raise UnsupportedEnvError(
                f"env has the wrapper {type(inner).__name__}, which rollouts don't run: put a gymnasium.Wrapper around each "
                "environment"
            )
        inner = inner.venv
    if hasattr(inner, "envs"):
        for i, one in enumerate(inner.envs):
            monitors += tuple(file._replace(first=i, n_envs=inner.num_envs) for file in _unmonitored(one)[1])
        return EnvInput(_unmonitored(inner.envs[0])[0], inner.num_envs, 1, monitors, env, normalizer)
    return EnvInput(_like_theirs(inner), inner.num_envs, inner.num_envs, monitors, env, normalizer)


def _is_theirs(value: Any, name: str) -> bool:
    """Whether it is of their class `name`, or of one derived from it."""
    classes = type(value).__mro__
    return any(each.__name__ == name and each.__module__.partition(".")[0] == _PACKAGE for each in classes)


def is_vec_env(env: Any) -> bool:
    """Whether it is a vector environment of theirs, or the one of ours that behaves as theirs."""
    return isinstance(env, TrainingEnv) or _is_theirs(env, "VecEnv")


def is_monitored(vec_env: Any) -> bool:
    """Whether an info at the end of an episode has the episode as it was before other wrappers changed it; ours has no other."""
    inner = vec_env
    while hasattr(inner, "venv"):
        if _is_theirs(inner, "VecMonitor"):
            return True
        inner = inner.venv
    if isinstance(inner, TrainingEnv):
        return False
    from stable_baselines3.common.monitor import Monitor

    return bool(inner.env_is_wrapped(Monitor)[0])


def _unmonitored(env: Any) -> tuple[Any, tuple[MonitorFile, ...]]:
    """An environment without the `Monitor`s around it, and the files of these."""
    files: tuple[MonitorFile, ...] = ()
    while _is_theirs(env, "Monitor"):
        files += _file(env)
        env = env.env
    return env, files


def _file(monitor: Any) -> tuple[MonitorFile, ...]:
    return () if monitor.results_writer is None else (MonitorFile(monitor.results_writer, monitor.t_start),)


def _like_theirs(vec_env: Any) -> gymnasium.Env:
    """An environment like those that run in other processes."""
    spec = copy.copy(vec_env.get_attr("spec", indices=0)[0])
    if spec is None:
        raise UnsupportedEnvError(
            f"env is a {type(vec_env).__name__} of environments without an id: give a function that makes one, and n_workers"
        )
    spec.additional_wrappers = tuple(wrapper for wrapper in spec.additional_wrappers if wrapper.name != "Monitor")
    spec.kwargs = {name: value for name, value in spec.kwargs.items() if name != "render_mode"}
    return make(spec)


class Normalizer:
    """A `VecNormalize`: what it says of the filter, and its statistics, which follow those of a run."""

    def __init__(self, vec_normalize: Any) -> None:
        if isinstance(getattr(vec_normalize, "obs_rms", None), dict):
            raise UnsupportedEnvError(
                "env has a VecNormalize of dict observations, whose statistics stand apart: leave it out and give "
                "normalize_observations=True, which normalises all entries of the observation"
            )
        self.vec_normalize = vec_normalize
        if self.is_on and not all(np.isfinite(part).all() for part in vars(vec_normalize.obs_rms).values()):
            raise ValueError(
                "env has a VecNormalize whose obs_rms must be finite, which it is no longer after an observation that was not: got "
                f"mean {vec_normalize.obs_rms.mean} and variance {vec_normalize.obs_rms.var}"
            )

    @property
    def is_on(self) -> bool:
        """Whether observations are normalised."""
        return bool(self.vec_normalize.norm_obs)

    @property
    def is_learning(self) -> bool:
        """Whether its statistics change with what it sees."""
        return bool(self.vec_normalize.training)

    def settings(self) -> dict[str, Any]:
        """Fields of `Config` that stand for how it normalises."""
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
        """Whether observations are normalised, by both the wrapper and the setting.

        Raises
        ------
        ValueError
            If they say different things.
        """
        if normalize_observations not in (None, self.is_on):
            raise ValueError(
                f"env has a VecNormalize with norm_obs={self.is_on}, which contradicts "
                f"normalize_observations={normalize_observations}"
            )
        return self.is_on

    def moments(self) -> tuple[int, FloatArray, FloatArray] | None:
        """(count, mean, sum of squared deviations) of the observations it has seen; None if it has seen none."""
        statistics = self.vec_normalize.obs_rms if self.is_on else None
        if statistics is None or statistics.count < 1.0:
            return None
        count = round(float(statistics.count))
        mean, variance = (np.array(each, np.float64).ravel() for each in (statistics.mean, statistics.var))
        return count, mean, variance * count

    def begin(self, moments: tuple[int, FloatArray, FloatArray]) -> tuple[int, FloatArray, FloatArray]:
        """The moments that a run goes on with: its own, which are taken over, unless there are others here."""
        found = self.moments()
        if found is None:
            self.follow(moments)
        elif found[0] != moments[0] or not np.allclose(found[1:], moments[1:], rtol=1e-9, atol=0.0):  # but for rounding
            return found
        return moments

    def follow(self, moments: tuple[int, FloatArray, FloatArray]) -> None:
        """Take over the moments of a run."""
        count, mean, m2 = moments
        if not self.is_on or count == 0:
            return
        statistics = self.vec_normalize.obs_rms
        statistics.mean = mean.reshape(np.shape(statistics.mean)).copy()
        statistics.var = (m2 / count).reshape(np.shape(statistics.var))
        statistics.count = count + _COUNT_OF_NOTHING


class EpisodeInfos(Sequence[dict[str, Any]]):
    """What stable-baselines3's `Monitor` would have put into the info of the last step of each episode."""

    def __init__(self, returns: FloatArray, lengths: Any) -> None:
        self._returns, self._lengths = returns, lengths

    def __len__(self) -> int:
        return len(self._returns)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return EpisodeInfos(self._returns[index], self._lengths[index])
        return {"episode": {"r": float(self._returns[index]), "l": int(self._lengths[index]), "t": 0.0}}


class AsyncEval:
    """Says in how many processes an environment in Python is to run, in the words of stable-baselines3-contrib.

    Parameters
    ----------
    envs_fn : sequence of callable
        One for each process. They are not called: the model's own environment runs there.
    train_policy : fastars.training.policy.Policy, optional
        `model.policy`: the processes of that model start now, otherwise in `learn(async_eval=...)`.
    start_method, n_eval_episodes
        Accepted, without effect.
    """

    def __init__(
        self, envs_fn: Sequence[Any], train_policy: Any = None, start_method: str | None = None, n_eval_episodes: int = 1
    ) -> None:
        self.n_workers = len(envs_fn)
        self._trainer = getattr(train_policy, "trainer", lambda: None)
        if (model := self._trainer()) is not None:
            model.take_workers(self)

    def seed(self, seed: int | None = None) -> list[None]:
        """Wait for the processes; the seed is without effect, as the model's own decides.

        Raises
        ------
        WorkerError
            If one of them can't make its environment.
        """
        if (model := self._trainer()) is not None:
            model.start_workers(wait=True)
        return [None] * self.n_workers

    def close(self) -> None:
        """Nothing to close: `ARS.close` ends the processes."""


def training_env(env: gymnasium.Env) -> Any:
    """An environment as stable-baselines3's `model.get_env()` gives it: in a `DummyVecEnv` of theirs if the program has imported
    that, otherwise in a `TrainingEnv`.
    """
    if f"{_PACKAGE}.common.vec_env" not in sys.modules:
        return TrainingEnv(env)
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv

    return DummyVecEnv([lambda: env if _is_theirs(env, "Monitor") else Monitor(env)])


class TrainingEnv:
    """One environment with the methods of stable-baselines3's `VecEnv`: `reset` gives observations alone, `step` has four results,
    and an episode that ends is followed by the next.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        self.envs = [env]
        self.num_envs = 1
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self.render_mode = env.render_mode
        self.reset_infos: list[dict[str, Any]] = [{}]
        self._seed: int | None = None
        self._actions: Any = None

    def seed(self, seed: int | None = None) -> list[int | None]:
        """Seed the next reset."""
        self._seed = seed
        return [seed]

    def reset(self) -> Any:
        """Observations (1, ...) of the first states."""
        observation, self.reset_infos[0] = self.envs[0].reset(seed=self._seed)
        self._seed = None
        return _stacked(observation)

    def step(self, actions: Any) -> tuple[Any, FloatArray, np.ndarray, list[dict[str, Any]]]:
        """(observations, rewards, dones, infos), with one entry each; an episode's last observation is in the info, as
        "terminal_observation".
        """
        observation, reward, terminated, truncated, info = self.envs[0].step(actions[0])
        done = bool(terminated or truncated)
        info = {**info, "TimeLimit.truncated": bool(truncated and not terminated)}
        if done:
            info["terminal_observation"] = observation
            observation, self.reset_infos[0] = self.envs[0].reset()
        return _stacked(observation), np.array([reward], np.float32), np.array([done]), [info]

    def step_async(self, actions: Any) -> None:
        """Keep actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[Any, FloatArray, np.ndarray, list[dict[str, Any]]]:
        """Step with the actions of `step_async`."""
        return self.step(self._actions)

    def render(self, mode: str | None = None) -> Any:
        """Render in the mode that the environment was made with."""
        return self.envs[0].render()

    def close(self) -> None:
        """Close the environment."""
        self.envs[0].close()

    def get_attr(self, name: str, indices: Any = None) -> list[Any]:
        """An attribute of the environment."""
        return [self.envs[0].get_wrapper_attr(name)]

    def set_attr(self, name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of the environment."""
        self.envs[0].set_wrapper_attr(name, value)

    def env_method(self, name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call a method of the environment."""
        return [self.envs[0].get_wrapper_attr(name)(*args, **kwargs)]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Whether a wrapper is around the environment."""
        env: Any = self.envs[0]
        while isinstance(env, gymnasium.Wrapper):
            if isinstance(env, wrapper_class):
                return [True]
            env = env.env
        return [False]


def _stacked(observation: Any) -> Any:
    """An observation with an axis of length 1 before its own."""
    if isinstance(observation, dict):
        return {name: _stacked(value) for name, value in observation.items()}
    if isinstance(observation, tuple):
        return tuple(_stacked(value) for value in observation)
    return np.asarray(observation)[np.newaxis]

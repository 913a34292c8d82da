"""Episodes in a vector environment, which steps several environments by its own means.

Vector environments differ in what they do after the end of an episode: they reset at once, at the next step, or on request. Their
own reset is not part of any episode here. If they reset a single environment on request, the environment whose episode is over
starts the next one. Otherwise all environments must be reset together, each with its seed. Episodes then run in waves: an
environment that is done waits for the last of its wave.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv

from fastars._compiled.structs import NONFINITE, RUNNING, TERMINATED, TRUNCATED, FloatArray, Rollouts, RolloutSpec, empty_rollouts
from fastars._runtime.shared_generators import generators_kept, seed_generators
from fastars._runtime.signals import OpenSignals
from fastars.envs import UnsupportedEnvError
from fastars.envs.driven import DrivenVecEnv
from fastars.envs.making import warnings_logged
from fastars.envs.returned import flags, real_array
from fastars.envs.spaces import batched_actions, flat_size, flattener, unbatched
from fastars.kernels.batch_actions import COUNTED, GHOST, IDLE
from fastars.samplers.batch import Batch, Report
from fastars.samplers.episode_kernels import compiled_kernels, new_lanes


class VectorEpisodes:
    """Runs episodes in a vector environment that the user gave. Exceptions are passed on, and `close` leaves it open.

    Parameters
    ----------
    spec : RolloutSpec
        From `GymEnv.rollout_spec(policy)`.
    env : gymnasium.vector.VectorEnv
    n_tasks : int
        Rewards of a step; 0 where the reward is a number.
    in_info : bool
        True if the rewards are `info["vector_reward"]`, and not the reward itself.
    """

    def __init__(self, spec: RolloutSpec, env: VectorEnv, n_tasks: int = 0, in_info: bool = False) -> None:
        self.spec = spec
        self.n_tasks, self._in_info = n_tasks, in_info
        self.n_lanes: int | None = env.num_envs
        self._n = env.num_envs
        self._env = env
        self._space = env.single_observation_space
        self._flat = flattener(self._space)
        self._lanes = new_lanes(spec, flat_size(self._space), env.single_action_space, env.num_envs)
        mode = env.metadata.get("autoreset_mode")
        self._refills = getattr(mode, "name", mode) == "DISABLED"  # an environment can be reset alone, and must be
        self._was_reset = False
        self._lanes.mode[:] = GHOST  # an environment whose observations are bad from the start needs an action, too
        self._kernels = compiled_kernels(spec, self._lanes)

    def run(self, batch: Batch, report: Report) -> Rollouts:
        """Run the episodes of a batch. `report` is not called: a failure is an exception here."""
        with generators_kept(), OpenSignals(), warnings_logged(type(self._env.unwrapped).__name__):
            return self._run(batch)

    def _run(self, batch: Batch) -> Rollouts:
        lanes, n = self._lanes, self._n
        out = empty_rollouts(len(batch.seeds), lanes.x.shape[0], batch.track, self.n_tasks)
        self._batch, self._waiting = batch, self._dealt(batch)
        self._episode, self._total, self._totals = np.full(n, -1), np.zeros(n), np.zeros((n, self.n_tasks))
        self._seeds = [0] * n
        self._start(np.ones(n, bool))
        while (self._episode >= 0).any():
            status, needs_reset = self._tick()
            for lane in np.flatnonzero((status != RUNNING) & (self._episode >= 0)):
                self._end(out, int(lane), int(status[lane]))
            if (self._episode >= 0).any() or any(self._waiting):
                if self._refills and needs_reset.any():
                    self._start(needs_reset)
                elif not (self._episode >= 0).any():
                    self._start(np.ones(n, bool))
        return out

    def _dealt(self, batch: Batch) -> list[deque[int]]:
        """Return the episodes that wait for each environment: the same ones for all, if the environments are alike.

        Otherwise the two candidates of a direction, and as far as possible all candidates, run in the same environments. An
        environment i gets (episodes + i) // n episodes of a candidate, as in stable-baselines3, if there are at least n of them.
        """
        n, n_all = self._n, len(batch.seeds)
        if not isinstance(self._env, DrivenVecEnv) or self._env.are_alike:
            shared = deque(range(n_all))
            return [shared] * n
        queues: list[deque[int]] = [deque() for _ in range(n)]
        each = n_all // max(len(batch.weights), 1) or 1  # episodes of a candidate
        lanes = [lane for lane in range(n) for _ in range((each + lane) // n)]
        for episode in range(n_all):
            candidate, k = divmod(episode, each)
            lane = lanes[k] if each >= n else (candidate // 2 * each + k) % n
            queues[lane].append(episode)
        return queues

    def start(self, wait: bool = False) -> None:
        """Do nothing: episodes run in this process."""

    def close(self) -> None:
        """Do nothing: the user closes the vector environment."""

    def _tick(self) -> tuple[np.ndarray, np.ndarray]:
        """Step all environments. Return (status of each episode, mask of the environments to reset before another step)."""
        lanes, env = self._lanes, self._env
        self._kernels.tick(self.spec, self._batch.filter, lanes, self._batch.track)
        is_bad = lanes.mode == IDLE
        actions = batched_actions(env.single_action_space, lanes.action.copy())
        observations, rewards, terminated, truncated, infos = env.step(actions)
        self._observe(observations)
        counts = ~is_bad
        rewards = self._weighted(infos["vector_reward"] if self._in_info else rewards, counts)
        self._total[counts] += rewards[counts]
        is_late = flags("truncated", truncated, self._n) | (lanes.length >= self.spec.max_steps)
        status = np.select(
            [is_bad | ~np.isfinite(rewards), flags("terminated", terminated, self._n), is_late],
            [NONFINITE, TERMINATED, TRUNCATED],
            RUNNING,
        )
        return status, status != RUNNING

    def _weighted(self, rewards: Any, counts: np.ndarray) -> FloatArray:
        """Return the rewards, float64 (n,). Where a step gives several, add them to the totals, and return their weighted sums."""
        rewards = real_array("the rewards", rewards).astype(np.float64)
        wanted = (self._n, self.n_tasks) if self.n_tasks else (self._n,)
        if rewards.shape != wanted:
            raise ValueError(f"the vector environment's step gave rewards of shape {rewards.shape}, not {wanted}")
        if self.n_tasks == 0:
            return rewards
        with np.errstate(all="ignore"):
            self._totals[counts] += rewards[counts]
            return np.array([np.dot(row, self._batch.reward_weights) for row in rewards])

    def _start(self, free: np.ndarray) -> None:
        """Reset the environments marked in `free` with the seeds of the next episodes, or with any seed if none is left."""
        seeds: list[int | None] = [None] * self._n
        for lane in np.flatnonzero(free):
            mode, row = GHOST, 0
            if self._waiting[lane]:
                episode = self._waiting[lane].popleft()
                self._episode[lane], self._total[lane], self._totals[lane] = episode, 0.0, 0.0
                self._seeds[lane] = int(self._batch.seeds[episode])
                mode, row = COUNTED, self._batch.rows[episode]
            seeds[lane] = self._seeds[lane]
            self._kernels.begin(self.spec, self._lanes, int(lane), self._batch.weights[row], mode)
        first = next((self._seeds[lane] for lane in np.flatnonzero(free & (self._episode >= 0))), 0)
        seed_generators(first)
        self._env.single_action_space.seed(first)
        self._observe(self._reset(seeds, None if free.all() else {"reset_mask": free}))

    def _reset(self, seeds: list[int | None], options: dict[str, Any] | None) -> Any:
        """Reset environments, and return their first observations."""
        try:
            observations, _ = self._env.reset(seed=seeds, options=options)  # type: ignore[arg-type]
        except Exception as error:
            if self._was_reset or isinstance(self._env, DrivenVecEnv):
                raise
            raise UnsupportedEnvError(
                f"the vector environment {type(self._env.unwrapped).__name__} can't be reset with a list of seeds, one for each of "
                f"its environments ({type(error).__name__}: {error}). Every episode needs its own seed: give the environment's id, "
                "or gymnasium.make_vec(id, n, vectorization_mode='sync')"
            ) from error
        self._was_reset = True
        return observations

    def _observe(self, observations: Any) -> None:
        """Write a batch of observations to the lanes."""
        rows: FloatArray = self._lanes.observation
        if isinstance(self._space, spaces.Box):
            batch = real_array("the observations", observations)
            if batch.size == self._n and rows.shape[1] == 1:  # numbers, where an observation has one entry
                batch = batch.reshape(self._n, *self._space.shape)
            if batch.shape != (self._n, *self._space.shape):
                raise ValueError(f"the vector environment gave observations of shape {batch.shape}, {self._n} x {self._space}")
            with np.errstate(over="ignore", invalid="ignore"):  # a number too large for the space's dtype becomes infinite
                rows[...] = batch.astype(self._space.dtype, copy=False).reshape(rows.shape)
            return
        for row, observation in zip(rows, unbatched(self._space, observations), strict=True):
            row[...] = self._flat(observation)

    def _end(self, out: Rollouts, lane: int, status: int) -> None:
        """Write the results of the episode in a lane. The lane goes on, but its steps don't count."""
        episode = self._episode[lane]
        out.returns[episode] = np.nan if status == NONFINITE else self._total[lane]
        out.task_returns[episode] = np.nan if status == NONFINITE else self._totals[lane]
        out.lengths[episode] = self._lanes.length[lane]
        out.status[episode] = status
        self._kernels.end(self._lanes, lane, out.moments, int(episode))
        self._episode[lane] = -1
        self._lanes.mode[lane] = GHOST

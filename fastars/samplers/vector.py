"""Episodes in a vector environment, which steps several environments by its own means.

What follows an episode's end differs: the vector environment may reset at once, at the next step, or when it is told. None of that
is part of an episode. Where it can be told, the environment whose episode is over starts the next one; elsewhere an episode must
start from its seed with all the others, so they run in waves, and an environment that is done waits for the last of its wave.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv

from fastars._compiled.structs import NONFINITE, RUNNING, TERMINATED, TRUNCATED, FloatArray, Rollouts, RolloutSpec, empty_rollouts
from fastars.envs import UnsupportedEnvError
from fastars.envs.spaces import batched_actions, flat_size, flattener, unbatched
from fastars.kernels.batch_actions import COUNTED, GHOST, IDLE
from fastars.samplers.episodes import Batch, Report, compiled_kernels, new_lanes


class VectorEpisodes:
    """Runs episodes in a vector environment, which is its owner's: exceptions are passed on, and `close` leaves it open."""

    def __init__(self, task: RolloutSpec, env: VectorEnv, n_tasks: int = 0, in_info: bool = False) -> None:
        self.task = task
        self.n_tasks, self._in_info = n_tasks, in_info
        self.n_lanes = env.num_envs
        self._env = env
        self._space = env.single_observation_space
        self._flat = flattener(self._space)
        self._lanes = new_lanes(task, flat_size(self._space), env.single_action_space, env.num_envs)
        mode = env.metadata.get("autoreset_mode")
        self._refills = getattr(mode, "name", mode) == "DISABLED"  # an environment can be reset alone, and has to be
        self._was_reset = False
        self._lanes.mode[:] = GHOST  # an environment whose observations are bad from the start needs an action, too
        self._kernels = compiled_kernels(task, self._lanes)

    def run(self, batch: Batch, report: Report) -> Rollouts:
        """Run the episodes of a batch."""
        lanes, n = self._lanes, self.n_lanes
        out = empty_rollouts(len(batch.seeds), lanes.x.shape[0], batch.track, self.n_tasks)
        self._batch, self._next = batch, 0
        self._episode, self._total, self._totals = np.full(n, -1), np.zeros(n), np.zeros((n, self.n_tasks))
        self._seeds = [0] * n
        self._start(np.ones(n, bool))
        while (self._episode >= 0).any():
            status, needs_reset = self._tick()
            for lane in np.flatnonzero((status != RUNNING) & (self._episode >= 0)):
                self._end(out, int(lane), int(status[lane]))
            if (self._episode >= 0).any() or self._next < len(batch.seeds):
                if self._refills and needs_reset.any():
                    self._start(needs_reset)
                elif not (self._episode >= 0).any():
                    self._start(np.ones(n, bool))
        return out

    def close(self) -> None:
        """Leave the vector environment to its owner."""

    def _tick(self) -> tuple[np.ndarray, np.ndarray]:
        """One step of all environments: how each episode stands, and which environments must be reset before another step."""
        lanes, env = self._lanes, self._env
        self._kernels.tick(self.task, self._batch.filter, lanes, self._batch.track)
        is_bad = lanes.mode == IDLE
        actions = batched_actions(env.single_action_space, lanes.action.copy())
        observations, rewards, terminated, truncated, infos = env.step(actions)
        self._observe(observations)
        counts = ~is_bad
        rewards = self._weighted(infos["vector_reward"] if self._in_info else rewards, counts)
        self._total[counts] += rewards[counts]
        is_late = np.asarray(truncated, bool) | (lanes.length >= self.task.max_steps)
        status = np.select(
            [is_bad | ~np.isfinite(rewards), np.asarray(terminated, bool), is_late], [NONFINITE, TERMINATED, TRUNCATED], RUNNING
        )
        return status, status != RUNNING

    def _weighted(self, rewards: Any, counts: np.ndarray) -> FloatArray:
        """The rewards, float64 (n,). Where a step gives several, they are added to the totals, and weighted."""
        rewards = np.asarray(rewards, np.float64)
        wanted = (self.n_lanes, self.n_tasks) if self.n_tasks else (self.n_lanes,)
        if rewards.shape != wanted:
            raise ValueError(f"the vector environment's step gave rewards of shape {rewards.shape}, not {wanted}")
        if self.n_tasks == 0:
            return rewards
        with np.errstate(all="ignore"):
            self._totals[counts] += rewards[counts]
            return np.array([np.dot(row, self._batch.reward_weights) for row in rewards])

    def _start(self, free: np.ndarray) -> None:
        """Reset the environments marked in `free`, with the seeds of the next episodes; where none is left, with any."""
        seeds: list[int | None] = [None] * self.n_lanes
        for lane in np.flatnonzero(free):
            mode, row = GHOST, 0
            if self._next < len(self._batch.seeds):
                self._episode[lane], self._total[lane], self._totals[lane] = self._next, 0.0, 0.0
                self._seeds[lane] = int(self._batch.seeds[self._next])
                mode, row = COUNTED, self._batch.rows[self._next]
                self._next += 1
            seeds[lane] = self._seeds[lane]
            self._kernels.begin(self.task, self._lanes, int(lane), self._batch.weights[row], mode)
        options = None if free.all() else {"reset_mask": free}
        try:
            observations, _ = self._env.reset(seed=seeds, options=options)  # type: ignore[arg-type]
        except Exception as error:
            if self._was_reset:
                raise
            raise UnsupportedEnvError(
                f"the vector environment {type(self._env.unwrapped).__name__} can't be reset with a list of seeds, one for each of "
                f"its environments ({type(error).__name__}: {error}). Every episode needs its own seed: give the environment's id, "
                "or gymnasium.make_vec(id, n, vectorization_mode='sync')"
            ) from error
        self._was_reset = True
        self._observe(observations)

    def _observe(self, observations: Any) -> None:
        """Write a batch of observations to the lanes."""
        rows: FloatArray = self._lanes.observation
        if isinstance(self._space, spaces.Box):
            batch = np.asarray(observations)
            if batch.shape != (self.n_lanes, *self._space.shape):
                raise ValueError(f"the vector environment gave observations of shape {batch.shape}, {self.n_lanes} x {self._space}")
            with np.errstate(over="ignore", invalid="ignore"):  # what is too large for the space's dtype is infinite
                rows[...] = batch.astype(self._space.dtype, copy=False).reshape(rows.shape)
            return
        for row, observation in zip(rows, unbatched(self._space, observations), strict=True):
            row[...] = self._flat(observation)

    def _end(self, out: Rollouts, lane: int, status: int) -> None:
        """Write what the episode in a lane gave; the lane goes on, but its steps don't count."""
        episode = self._episode[lane]
        out.returns[episode] = np.nan if status == NONFINITE else self._total[lane]
        out.task_returns[episode] = np.nan if status == NONFINITE else self._totals[lane]
        out.lengths[episode] = self._lanes.length[lane]
        out.status[episode] = status
        self._kernels.end(self._lanes, lane, out.moments, int(episode))
        self._episode[lane] = -1
        self._lanes.mode[lane] = GHOST

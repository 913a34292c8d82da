"""Episodes of an environment that is stepped in Python: several copies side by side, all their actions from one kernel call."""

from __future__ import annotations

import contextlib
import operator
import time
import traceback
from collections import deque
from functools import partial
from typing import Any

import numpy as np
from gymnasium import spaces

from fastars._compiled.structs import FAILED, NONFINITE, TERMINATED, TRUNCATED, Rollouts, RolloutSpec, empty_rollouts
from fastars._runtime.shared_generators import are_as_seeded, generator_states, generators_kept
from fastars._runtime.signals import OpenSignals, let_signals_in, raised_by_handler
from fastars.envs.gym import GymEnv
from fastars.envs.making import warnings_logged
from fastars.envs.returned import FLAGS, REALS, checked_end, first_observation, real, real_array
from fastars.envs.seeding import UntouchedGenerators, seed_episode
from fastars.envs.spaces import actions_in_rows, batched_actions, flattener
from fastars.envs.wrappers import step_within
from fastars.kernels.batch_actions import COUNTED, IDLE
from fastars.samplers.batch import MARK_BITS, Batch, Report, give_up
from fastars.samplers.episode_kernels import MAX_LANES, compiled_kernels, lanes_worth, new_lanes
from fastars.samplers.failure import ATTEMPTS

_MEASURED_TICKS = 50
_OLD_STEP = "not enough values to unpack (expected 5, got 4)"
_FIVE_VALUES = "TypeError: step must return (observation, reward, terminated, truncated, info); gym's old API gave 4 values"


class _Place:
    """A place for an environment and for the episode that it runs."""

    __slots__ = ("attempt", "env", "episode", "index", "is_checked", "last", "mark", "row", "step", "total", "totals")

    def __init__(self, index: int, row: Any) -> None:
        self.index = index
        self.row = row  # its row of observations, in their own shape
        self.env: Any = None
        self.step: Any = None  # of the environment
        self.is_checked = False  # True once the layers of `gymnasium.make` have seen an episode of it
        self.episode = self.attempt = self.mark = self.last = 0
        self.total = 0.0
        self.totals: list[float] = []  # of each reward, where there are several


class Episodes:
    """Runs episodes of an environment in this process.

    Parameters
    ----------
    spec : RolloutSpec
        From `env.rollout_spec(policy)`.
    env : GymEnv
        If it holds an environment that the user gave, that one runs all episodes, and stays open.
    n_lanes : int, optional
        Environments side by side. Default: 1 to 16, as many as make the shared kernel call cheap beside their steps.
    marks : sequence of int, optional
        marks[0] changes at every call of an environment; its lower `MARK_BITS` are 2 * episode + attempts that failed.

    Attributes
    ----------
    n_lanes : int or None
        Environments side by side; None until the time of a step was measured.
    """

    def __init__(self, spec: RolloutSpec, env: GymEnv, n_lanes: int | None = None, marks: Any = None) -> None:
        self.spec, self.n_tasks, self._name = spec, env.n_tasks, env.id
        self.n_lanes = n_lanes if env.env is None else 1
        self._in_info = env.in_info
        self._make, self._given = env.make, env.env
        space = env.observation_space
        self._flat = flattener(space)
        self._lanes = new_lanes(spec, env.n_obs, env.action_space, self.n_lanes or MAX_LANES)
        self._shape = space.shape if isinstance(space, spaces.Box) and space.shape else None
        self._dtype = space.dtype
        self._action_space = env.action_space
        self._are_numbers = isinstance(env.action_space, spaces.Discrete)
        self._in_rows = actions_in_rows(env.action_space, self._lanes.action)
        self._places = [_Place(index, row.reshape(self._shape or -1)) for index, row in enumerate(self._lanes.observation)]
        self._marks, self._is_worker = [0] if marks is None else marks, marks is not None
        self._clock = 0  # ticks so far, above the bits of a mark
        self._queue: deque[tuple[int, int]] = deque()  # (episode that waits, failed attempts at it)
        self._untouched: UntouchedGenerators | None = None  # while episodes run side by side, which are not seeded in these
        self._kernels = compiled_kernels(spec, self._lanes)

    def open(self) -> None:
        """Make the first environment. An exception of the function that makes it is passed on."""
        with warnings_logged(self._name):
            self._open(self._places[0])

    def run(self, batch: Batch, report: Report) -> Rollouts:
        """Run the episodes of a batch, and call `report` for each attempt that failed.

        After any other exception, for example of Ctrl-C, new environments replace the present ones. If episodes side by side have
        drawn from shared generators, or from those of their spaces, the batch runs again, one episode after the other, each with
        its own seed in all of them. So do all later batches.
        """
        with contextlib.ExitStack() as stack:
            if not self._is_worker:
                stack.enter_context(generators_kept())
                stack.enter_context(OpenSignals())
            out = self._run(batch, report)
            if self._untouched is not None and not self._untouched.are_untouched():
                self.n_lanes = 1
                out = self._run(batch, report)
            return out

    def _run(self, batch: Batch, report: Report) -> Rollouts:
        self._batch, self._report = batch, report
        self._clock += 1 << MARK_BITS
        self._out = empty_rollouts(len(batch.seeds), self._lanes.x.shape[0], batch.track, self.n_tasks)
        self._untouched = self._watched() if (self.n_lanes or 1) > 1 else None
        self._queue.extend(enumerate(batch.attempts.tolist()))
        times: list[float] = []
        running: list[_Place] = []
        try:
            with warnings_logged(self._name):
                self._fill(running)
                while running:
                    self._tick(running)
                    let_signals_in()
                    if self.n_lanes is None:
                        times.append(time.perf_counter())
                        if len(times) > _MEASURED_TICKS:
                            self._widen(float(np.median(np.diff(times))))
                            self._fill(running)
        except BaseException:
            self._queue.clear()
            self._lanes.mode[:] = IDLE
            self.close()
            raise
        finally:
            del self._batch, self._report
        return self._out

    def close(self) -> None:
        """Close the environments that were made here."""
        for place in self._places:
            self._discard(place)

    def _fill(self, running: list[_Place]) -> None:
        """Start episodes in the places that are free."""
        if (self.n_lanes or 1) > 1 and len(self._queue) > 1 and not self._makes_another():
            self.n_lanes, self._make, self._given, self._untouched = 1, None, self._places[0].env, None
        free = self._places[len(running) : self.n_lanes or 1]
        running.extend(place for place in free if self._begin(place))

    def _widen(self, tick_seconds: float) -> None:
        """Choose the number of environments side by side: one, if the first one has drawn from generators that they would share."""
        self.n_lanes = lanes_worth(tick_seconds)
        if self.n_lanes > 1 and not are_as_seeded(self._seed_of(self._places[0])):
            self.n_lanes = 1
        self._untouched = self._watched() if self.n_lanes > 1 else None

    def _watched(self) -> UntouchedGenerators:
        return UntouchedGenerators(generator_states(), [place.env for place in self._places if place.env is not None])

    def _seed_of(self, place: _Place) -> int:
        return int(self._batch.seeds[place.episode])

    def start(self, wait: bool = False) -> None:
        """Do nothing: episodes run in this process."""

    def _makes_another(self) -> bool:
        """Return True if a second call of the maker gives another environment. `lambda: env` gives the same again."""
        first, second = self._places[:2]
        try:
            self._open(first)
            self._open(second)
        except BaseException as error:  # it comes again when the environment is needed
            self._pass_on_signals(error)
        if second.env is None or second.env is not first.env:
            return True
        second.env = second.step = None
        return False

    def _tick(self, running: list[_Place]) -> None:
        """Step every environment; where an episode is over, start the next one."""
        self._clock += 1 << MARK_BITS
        ended: list[tuple[_Place, int]] = []
        mode = self._lanes.mode
        if self._kernels.tick(self.spec, self._batch.filter, self._lanes, self._batch.track):
            ended = [(place, NONFINITE) for place in running if mode[place.index] == IDLE]
            self._step([place for place in running if mode[place.index] != IDLE], ended)
        else:
            self._step(running, ended)
        for place, status in ended:
            if status != FAILED:
                self._end(place, status)
            if not self._begin(place):
                mode[place.index] = IDLE
                running.remove(place)

    def _step(self, places: list[_Place], ended: list[tuple[_Place, int]]) -> None:
        """Step the environments of some places, and add the places whose episode is over to `ended`."""
        marks, clock, shape, dtype = self._marks, self._clock, self._shape, self._dtype
        actions = self._actions()
        for place in places:
            marks[0] = clock | place.mark
            try:
                observation, reward, terminated, truncated, info = place.step(actions[place.index])
                if type(observation) is np.ndarray and observation.shape == shape and observation.dtype is dtype:
                    place.row[...] = observation
                else:
                    self._lanes.observation[place.index] = self._flat(observation)
                reward = float(reward) if type(reward) in REALS else real("the reward", reward)
                if not (type(terminated) in FLAGS and type(truncated) in FLAGS and type(info) is dict):
                    terminated, truncated = checked_end(terminated, truncated, info)
                is_over = terminated or truncated or clock >= place.last
            except BaseException as error:
                self._fail(place, error)
                ended.append((place, FAILED))
                continue
            place.total += reward
            if is_over or reward - reward != 0.0:
                ended.append((place, NONFINITE if reward - reward != 0.0 else TERMINATED if terminated else TRUNCATED))

    def _weighted_step(self, place: _Place, action: Any) -> Any:
        """Step an environment that gives several rewards, and return their weighted sum as the reward, as `LinearReward` does.

        It is a separate function so that environments with one reward don't pay for the question (50 ns).
        """
        observation, reward, terminated, truncated, info = place.env.step(action)
        if self._in_info and "vector_reward" not in info:
            raise ValueError("step must give info['vector_reward'], as the first step did")
        rewards = real_array("the rewards", info["vector_reward"] if self._in_info else reward).astype(np.float64)
        if rewards.shape != (self.n_tasks,):
            where = "info['vector_reward']" if self._in_info else "the reward"
            raise ValueError(f"{where} must have shape ({self.n_tasks},), one entry for each task, got {rewards.shape}")
        place.totals = list(map(operator.add, place.totals, rewards.tolist()))
        with np.errstate(all="ignore"):  # a number that is not finite ends the episode; no warning is needed
            weighted = np.dot(rewards, self._batch.reward_weights)
        return observation, weighted, terminated, truncated, info

    def _actions(self) -> Any:
        """Return a copy of the actions of all lanes: an environment may keep its action."""
        n = self.n_lanes or 1
        if self._in_rows is None:
            return batched_actions(self._action_space, self._lanes.action[:n].copy())
        return self._in_rows[:n].tolist() if self._are_numbers else self._in_rows[:n].copy()

    def _begin(self, place: _Place) -> bool:
        """Start the next episode that waits. Return False if none waits."""
        batch = self._batch
        while self._queue:
            place.episode, place.attempt = self._queue.popleft()
            place.mark = place.episode << 1 | place.attempt
            place.total, place.totals, place.last = 0.0, [0.0] * self.n_tasks, self._clock + (self.spec.max_steps << MARK_BITS)
            try:
                self._marks[0] = self._clock | place.mark
                self._open(place)
                seed = self._seed_of(place)
                if self._untouched is None:  # it runs alone
                    seed_episode(place.env, seed)
                observation = first_observation(place.env.reset(seed=seed))
                self._lanes.observation[place.index] = self._flat(observation)
            except BaseException as error:
                self._fail(place, error)
                continue
            self._kernels.begin(self.spec, self._lanes, place.index, batch.weights[batch.rows[place.episode]], COUNTED)
            return True
        return False

    def _end(self, place: _Place, status: int) -> None:
        """Write the results of an episode."""
        out, episode = self._out, place.episode
        out.returns[episode] = np.nan if status == NONFINITE else place.total
        out.task_returns[episode] = np.nan if status == NONFINITE else place.totals
        out.lengths[episode] = self._lanes.length[place.index]
        out.status[episode] = status
        self._kernels.end(self._lanes, place.index, out.moments, episode)
        if not place.is_checked and self._make is not None and not self.n_tasks:
            place.step, place.is_checked = step_within(place.env, self.spec.max_steps), True

    def _fail(self, place: _Place, error: BaseException) -> None:
        """Discard the environment, and let its episode wait for another attempt or give it up."""
        self._pass_on_signals(error)
        place.attempt += 1
        if error.__traceback__ is not None and error.__traceback__.tb_next is None and _OLD_STEP in str(error):  # raised here
            error.add_note(_FIVE_VALUES)
        self._report(place.episode, place.attempt, "".join(traceback.format_exception(error)), error)
        self._discard(place)
        if place.attempt < ATTEMPTS:
            self._queue.appendleft((place.episode, place.attempt))
        else:
            give_up(self._out, place.episode)

    def _open(self, place: _Place) -> None:
        if place.env is None:
            place.env = self._given if self._make is None else self._make()
            place.step = partial(self._weighted_step, place) if self.n_tasks else place.env.step
            place.is_checked = False
            if self._untouched is not None:
                self._untouched.watch(place.env)

    def _discard(self, place: _Place) -> None:
        env, place.env, place.step = place.env, None, None
        if env is not None and env is not self._given:
            try:
                env.close()
            except BaseException as error:
                self._pass_on_signals(error)

    def _pass_on_signals(self, error: BaseException) -> None:
        """Raise the exception of a signal's handler again. In a worker process, handlers are the environment's own."""
        if not self._is_worker and (raised := raised_by_handler(error)) is not None:
            raise raised

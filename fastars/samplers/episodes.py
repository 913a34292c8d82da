"""Episodes of an environment that is stepped in Python: several of it side by side, all their actions from one kernel call."""

from __future__ import annotations

import contextlib
import operator
import time
import traceback
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from fastars._compiled.jit import entry
from fastars._compiled.structs import (
    FAILED,
    NONFINITE,
    TERMINATED,
    TRUNCATED,
    Filter,
    FloatArray,
    IntArray,
    Moments,
    Rollouts,
    RolloutSpec,
    SeedArray,
    empty_rollouts,
    identity_filter,
)
from fastars._runtime.signals import HeldSignals
from fastars.envs.spaces import action_rows, batched_actions, flat_size, flattener
from fastars.kernels.batch_actions import COUNTED, IDLE, Lanes, begin_episode, end_episode, tick
from fastars.kernels.policy_layout import arranged_size, n_weights, scratch_size

ATTEMPTS = 2  # at an episode, before it is given up
MAX_LANES = 16
MARK_BITS = 21  # of a mark: which episode, and which attempt at it; above them stands the tick
_CALL_SECONDS = 1.2e-6  # of a kernel call. As many environments share it as make it ...
_CALL_SHARE = 0.02  # ... this part of the time that their steps take
_MEASURED_TICKS = 50

Report = Callable[[int, int, str], None]  # is told of a failed attempt: the episode, which attempt, and the traceback


class Batch(NamedTuple):
    """Episodes to run: episode j is that of candidate `rows[j]`, from `reset(seed=seeds[j])`."""

    filter: Filter
    track: bool
    weights: FloatArray  # (n, n_weights), flat
    rows: IntArray  # (m,)
    seeds: SeedArray  # (m,)
    attempts: IntArray  # (m,), that failed before
    reward_weights: FloatArray  # (n_tasks,)


def new_lanes(task: RolloutSpec, n_obs: int, action_space: Any, n: int) -> Lanes:
    """The arrays of n environments side by side."""
    n_act = len(task.low)
    return Lanes(
        mode=np.full(n, IDLE),
        length=np.zeros(n, np.int64),
        weights=np.zeros((n, arranged_size(task.policy, n_obs, n_act))),
        observation=np.zeros((n, n_obs)),
        action=action_rows(action_space, n),
        first=np.zeros((n, n_obs)),
        sums=np.zeros((n, n_obs)),
        squares=np.zeros((n, n_obs)),
        x=np.zeros(n_obs),
        scratch=np.zeros(scratch_size(task.policy, n_obs, n_act)),
        scores=np.zeros(n_act),
    )


class Kernels(NamedTuple):
    """`begin_episode`, `tick` and `end_episode`, compiled for the types of some lanes."""

    begin: Callable[[RolloutSpec, Lanes, int, FloatArray, int], int]
    tick: Callable[[RolloutSpec, Filter, Lanes, bool], int]
    end: Callable[[Lanes, int, Moments, int], int]


def compiled_kernels(task: RolloutSpec, lanes: Lanes) -> Kernels:
    """The kernels for these lanes, which they have computed with.

    All that they do on first calls is then done: later ones run no Python code, in which the exception of a signal could get lost.
    """
    n_obs = len(lanes.x)
    weights = np.zeros(n_weights(task.policy, n_obs, len(lanes.scores)))
    moments = empty_rollouts(1, n_obs, True).moments
    with HeldSignals():
        return Kernels(
            begin=entry(begin_episode, task, lanes, 0, weights, int(lanes.mode[0])),
            tick=entry(tick, task, identity_filter(n_obs), lanes, True),
            end=entry(end_episode, lanes, 0, moments, 0),
        )


class _Place:
    """A place for an environment, and the episode that it runs."""

    __slots__ = ("attempt", "env", "episode", "index", "last", "mark", "row", "step", "total", "totals")

    def __init__(self, index: int, row: Any) -> None:
        self.index = index
        self.row = row  # where its observations go, in their own shape
        self.env: Any = None
        self.step: Any = None  # of the environment
        self.episode = self.attempt = self.mark = self.last = 0
        self.total = 0.0
        self.totals: list[float] = []  # of each of several rewards


class Episodes:
    """Runs episodes of an environment, in this process.

    Parameters
    ----------
    task : RolloutSpec
        What the kernels need to know of it.
    make : callable or None
        Makes an environment. None: there is only `env`.
    env : gymnasium.Env or None
        The one to use, which its owner closes.
    observation_space, action_space : gymnasium.Space
    n_lanes : int, optional
        Environments side by side. Default: 1 to 16, so many that the kernel calls which they share cost little beside their steps.
    n_tasks : int
        Rewards of a step; 0 where the reward is a number.
    in_info : bool
        Whether they are `info["vector_reward"]`, and not the reward itself.
    marks : sequence of int, optional
        marks[0] is another number at every call of an environment; its lower `MARK_BITS` are 2 * episode + attempts that failed.
    """

    def __init__(
        self,
        task: RolloutSpec,
        make: Any,
        env: Any,
        observation_space: Any,
        action_space: Any,
        n_lanes: int | None = None,
        n_tasks: int = 0,
        in_info: bool = False,
        marks: Any = None,
    ) -> None:
        self.task = task
        self.n_tasks, self._in_info = n_tasks, in_info
        self.n_lanes = n_lanes if env is None else 1
        self._make, self._given = make, env
        self._action_space = action_space
        self._flat = flattener(observation_space)
        self._lanes = new_lanes(task, flat_size(observation_space), action_space, self.n_lanes or MAX_LANES)
        self._shape = observation_space.shape if isinstance(observation_space, spaces.Box) and observation_space.shape else None
        self._dtype = observation_space.dtype
        self._places = [_Place(index, row.reshape(self._shape or -1)) for index, row in enumerate(self._lanes.observation)]
        self._marks = [0] if marks is None else marks
        self._clock = 0  # ticks so far, above the bits of a mark
        self._queue: deque[tuple[int, int]] = deque()  # episodes that wait, and how many attempts at them failed
        self._kernels = compiled_kernels(task, self._lanes)

    def open(self) -> None:
        """Make the first environment: raises what its maker raises."""
        self._open(self._places[0])

    def run(self, batch: Batch, report: Report) -> Rollouts:
        """Run the episodes of a batch, and tell `report` of attempts that failed.

        After any other exception, Ctrl-C's among them, environments are made anew.
        """
        self._batch, self._report = batch, report
        self._clock += 1 << MARK_BITS
        self._out = empty_rollouts(len(batch.seeds), self._lanes.x.shape[0], batch.track, self.n_tasks)
        self._queue.extend(enumerate(batch.attempts.tolist()))
        times: list[float] = []
        running: list[_Place] = []
        try:
            self._fill(running)
            while running:
                self._tick(running)
                if self.n_lanes is None:
                    times.append(time.perf_counter())
                    if len(times) > _MEASURED_TICKS:
                        self.n_lanes = _lanes_worth(float(np.median(np.diff(times))))
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
        """Close the environments, but not one that was given."""
        for place in self._places:
            self._discard(place)

    def _fill(self, running: list[_Place]) -> None:
        """Start episodes in the places that are free."""
        if (self.n_lanes or 1) > 1 and not self._makes_another():
            self.n_lanes, self._make, self._given = 1, None, self._places[0].env
        free = self._places[len(running) : self.n_lanes or 1]
        running.extend(place for place in free if self._begin(place))

    def _makes_another(self) -> bool:
        """Whether what makes environments gives a second one, and not the first again, as `lambda: env` does."""
        first, second = self._places[:2]
        with contextlib.suppress(Exception):  # which comes again when the environment is needed
            self._open(first)
            self._open(second)
        if second.env is None or second.env is not first.env:
            return True
        second.env = second.step = None
        return False

    def _tick(self, running: list[_Place]) -> None:
        """A step of every environment; where an episode is over, the next one starts."""
        self._clock += 1 << MARK_BITS
        ended: list[tuple[_Place, int]] = []
        mode = self._lanes.mode
        if self._kernels.tick(self.task, self._batch.filter, self._lanes, self._batch.track):
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
        """Step the environments of some places; adds those whose episode is over to `ended`."""
        marks, clock, shape, dtype = self._marks, self._clock, self._shape, self._dtype
        actions = self._actions()
        for place in places:
            marks[0] = clock | place.mark
            try:
                observation, reward, terminated, truncated, _ = place.step(actions[place.index])
                if type(observation) is np.ndarray and observation.shape == shape and observation.dtype is dtype:
                    place.row[...] = observation
                else:
                    self._lanes.observation[place.index] = self._flat(observation)
                reward = float(reward)
                is_over = terminated or truncated or clock >= place.last
            except Exception as error:
                self._fail(place, error)
                ended.append((place, FAILED))
                continue
            place.total += reward
            if is_over or reward - reward != 0.0:
                ended.append((place, NONFINITE if reward - reward != 0.0 else TERMINATED if terminated else TRUNCATED))

    def _weighted_step(self, place: _Place, action: Any) -> Any:
        """A step of an environment that gives several rewards, as one that gives their weighted sum: what `LinearReward` does.

        A step of its own, so that others don't pay for the question (50 ns).
        """
        observation, reward, terminated, truncated, info = place.env.step(action)
        if self._in_info and "vector_reward" not in info:
            raise ValueError("step must give info['vector_reward'], as the first step did")
        rewards = np.asarray(info["vector_reward"] if self._in_info else reward, np.float64)
        if rewards.shape != (self.n_tasks,):
            where = "info['vector_reward']" if self._in_info else "the reward"
            raise ValueError(f"{where} must have shape ({self.n_tasks},), one entry for each task, got {rewards.shape}")
        place.totals = list(map(operator.add, place.totals, rewards.tolist()))
        with np.errstate(all="ignore"):  # what is not finite ends the episode, without a word
            weighted = np.dot(rewards, self._batch.reward_weights)
        return observation, weighted, terminated, truncated, info

    def _actions(self) -> list[Any]:
        """The actions of all lanes, in an array of their own: an environment may keep its action."""
        actions = self._lanes.action[: self.n_lanes or 1]
        if isinstance(self._action_space, spaces.Discrete):
            return actions[:, 0].tolist()
        return list(batched_actions(self._action_space, actions.copy()))

    def _begin(self, place: _Place) -> bool:
        """Start the next episode that waits; False if none does."""
        batch = self._batch
        while self._queue:
            place.episode, place.attempt = self._queue.popleft()
            place.mark = place.episode << 1 | place.attempt
            place.total, place.totals, place.last = 0.0, [0.0] * self.n_tasks, self._clock + (self.task.max_steps << MARK_BITS)
            try:
                self._marks[0] = self._clock | place.mark
                self._open(place)
                observation, _ = place.env.reset(seed=int(batch.seeds[place.episode]))
                self._lanes.observation[place.index] = self._flat(observation)
            except Exception as error:
                self._fail(place, error)
                continue
            self._kernels.begin(self.task, self._lanes, place.index, batch.weights[batch.rows[place.episode]], COUNTED)
            return True
        return False

    def _end(self, place: _Place, status: int) -> None:
        """Write what an episode gave."""
        out, episode = self._out, place.episode
        out.returns[episode] = np.nan if status == NONFINITE else place.total
        out.task_returns[episode] = np.nan if status == NONFINITE else place.totals
        out.lengths[episode] = self._lanes.length[place.index]
        out.status[episode] = status
        self._kernels.end(self._lanes, place.index, out.moments, episode)

    def _fail(self, place: _Place, error: BaseException) -> None:
        """Throw the environment away, and let its episode wait for another attempt, or give it up."""
        place.attempt += 1
        self._report(place.episode, place.attempt, "".join(traceback.format_exception(error)))
        self._discard(place)
        if place.attempt < ATTEMPTS:
            self._queue.appendleft((place.episode, place.attempt))
        else:
            give_up(self._out, place.episode)

    def _open(self, place: _Place) -> None:
        if place.env is None:
            place.env = self._given if self._make is None else self._make()
            place.step = partial(self._weighted_step, place) if self.n_tasks else place.env.step

    def _discard(self, place: _Place) -> None:
        if place.env is not None and place.env is not self._given:
            with contextlib.suppress(Exception):
                place.env.close()
        place.env = place.step = None


def give_up(out: Rollouts, episode: int) -> None:
    """Write that an episode failed."""
    out.returns[episode], out.task_returns[episode], out.status[episode] = np.nan, np.nan, FAILED


def _lanes_worth(tick_seconds: float) -> int:
    """How many environments should share a kernel call, if a tick of a single one takes so long."""
    return int(min(max(_CALL_SECONDS / _CALL_SHARE / max(tick_seconds - _CALL_SECONDS, 1e-7), 1), MAX_LANES))

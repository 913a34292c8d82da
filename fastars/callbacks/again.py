"""Run episodes of an iteration again, for callbacks that ask for what rollouts do not keep: the reward of a step, and the like."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium

from fastars._compiled.structs import Filter, Rollouts
from fastars._runtime.shared_generators import generators_kept
from fastars._validate import warn_user
from fastars.envs.making import warnings_logged
from fastars.envs.returned import real
from fastars.training.policy import FixedValues, policy_of_run
from fastars.training.run import Run
from fastars.training.single_episode import Step, steps_of_episode

_CLOSE = 1e-6  # relative; a run over lanes agrees with Gymnasium to rounding


class Episodes(NamedTuple):
    """The episodes of an iteration, and what they were made of."""

    run: Run
    candidates: Any  # (n, n_weights)
    filter: Filter
    seeds: Any  # one for each episode
    rollouts: Rollouts


class Again:
    """Runs episodes again in a Gymnasium environment of this process.

    An episode that does not end as it did (an environment that is random by itself, or that can't be made here) is given as steps
    of one and the same reward, whose sum is the return. A warning says so once, and names the callback.

    Parameters
    ----------
    one_env : callable
        Returns an environment as that of the run; called once, at the first question.
    """

    def __init__(self, one_env: Callable[[], Any]) -> None:
        self.readers = "a callback"  # names of the callbacks that may ask
        self._one_env, self._env, self._has_warned = one_env, None, False
        self._last: tuple[Episodes | None, int, list[Step]] = None, 0, []

    def played(self, episodes: Episodes, episode: int) -> list[Step]:
        """Return the steps of an episode."""
        of, number, steps = self._last
        if of is not episodes or number != episode:
            steps = self._play(episodes, episode)
            self._last = episodes, episode, steps
        return steps

    def _play(self, episodes: Episodes, episode: int) -> list[Step]:
        total, length = float(episodes.rollouts.returns[episode]), int(episodes.rollouts.lengths[episode])
        try:
            steps = self._steps(episodes, episode)
            reason = "" if len(steps) == length and _is_sum(steps, total) else "an episode ended in another way when it ran again"
        except Exception as error:  # the environment is the user's, and may raise anything
            reason = f"an episode can't run again here ({type(error).__name__}: {error})"
        if not reason:
            return steps
        if not self._has_warned:
            self._has_warned = True
            warn_user(
                f"{self.readers} asks for rewards, infos, actions or observations of single steps, which rollouts do not keep, and "
                f"{reason}: it gets equal rewards whose sum is the return, and nothing else of these"
            )
        return [Step(math.nan, math.nan, total / length, {})] * length

    def _steps(self, episodes: Episodes, episode: int) -> list[Step]:
        run = episodes.run
        if self._env is None:
            self._env = self._one_env()
        if run.env.task_names or not isinstance(self._env, gymnasium.Env):
            raise TypeError("it has several rewards or environments")
        candidate = episode * len(episodes.candidates) // len(episodes.seeds)
        values = FixedValues(episodes.candidates[candidate], episodes.filter)
        policy = policy_of_run(run.env, run.config, values, run.execution.backend)
        with generators_kept(), warnings_logged(run.env.id):
            return [_kept(step) for step in steps_of_episode(self._env, policy, int(episodes.seeds[episode]), run.env.max_steps)]


def _is_sum(steps: list[Step], total: float) -> bool:
    return math.isclose(sum(step.reward for step in steps), total, rel_tol=_CLOSE, abs_tol=_CLOSE)


def _kept(step: Step) -> Step:
    """Return a step that does not change any more: an environment may give one array and one dict, which change, at all steps."""
    reward = real("the reward", step.reward)
    return step._replace(observation=copy.deepcopy(step.observation), reward=reward, info=copy.deepcopy(dict(step.info)))

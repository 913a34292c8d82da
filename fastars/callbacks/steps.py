"""The steps of an iteration as callbacks see them, although rollouts keep only the length and the return of each episode."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from fastars._compiled.structs import TRUNCATED, Rollouts
from fastars.training.single_episode import Step

OF_A_STEP = "dones", "infos", "rewards", "actions", "new_obs", "iteration_ends"


class IterationSteps:
    """The steps of an iteration, as calls of a vector environment of n environments: n steps at a time, episode after episode.

    Calls go on where those of the iteration before ended. Steps that are left over at the end belong to the last call.

    Parameters
    ----------
    first_step : int
        Steps of the model when `learn` began.
    before : int
        Steps since then, before the iteration.
    rollouts : Rollouts
        The episodes.
    n_envs : int
        Number of environments.
    played : callable
        Returns the steps of an episode, a `Step` each; called for what `rollouts` do not have.

    Attributes
    ----------
    n_envs : int
    n_calls : int
        Number of calls.
    """

    def __init__(self, first_step: int, before: int, rollouts: Rollouts, n_envs: int, played: Callable[[int], list[Step]]) -> None:
        self.n_envs, self._rollouts, self._played = n_envs, rollouts, played
        self._ends: list[int] = rollouts.lengths.cumsum().tolist()  # steps up to the end of each episode
        self._offset = before % n_envs
        self._first_step = first_step + before - self._offset
        self.n_calls = (self._offset + self._ends[-1]) // n_envs

    def steps_at(self, call: int) -> int:
        """Return the steps of the model at a call, from 1 to `n_calls`; 0 is before the first."""
        return self._first_step + call * self.n_envs

    def calls_to_an_end(self, call: int) -> int:
        """Return the number of calls from one to the next with the last step of an episode."""
        after = self._bounds(call)[1] if call else 0
        ended = bisect_right(self._ends, after)
        if ended == len(self._ends):
            return self.n_calls
        return min(-(-(self._ends[ended] + self._offset) // self.n_envs), self.n_calls) - call

    def value(self, name: str, call: int) -> Any:
        """Return a local variable of a call, one of `OF_A_STEP`."""
        return getattr(self, f"_{name}")(call)

    def _bounds(self, call: int) -> tuple[int, int]:
        """Return the number of steps of the iteration before and after a call."""
        before = (call - 1) * self.n_envs - self._offset if call > 1 else 0
        return before, self._ends[-1] if call == self.n_calls else call * self.n_envs - self._offset

    def _steps(self, call: int) -> Iterator[tuple[int, int, int]]:
        """Yield (environment, episode, index in the episode) for each step of a call."""
        before, after = self._bounds(call)
        for position in range(before, after):
            episode = bisect_right(self._ends, position)
            start = self._ends[episode] - int(self._rollouts.lengths[episode])
            yield min(position - before, self.n_envs - 1), episode, position - start

    def _is_last(self, episode: int, index: int) -> bool:
        return index + 1 == self._rollouts.lengths[episode]

    def _iteration_ends(self, call: int) -> bool:
        return call == self.n_calls

    def _dones(self, call: int) -> np.ndarray:
        dones = np.zeros(self.n_envs, np.bool_)
        before, after = self._bounds(call)
        for episode in range(bisect_right(self._ends, before), bisect_right(self._ends, after)):
            dones[min(self._ends[episode] - 1 - before, self.n_envs - 1)] = True
        return dones

    def _infos(self, call: int) -> list[dict[str, Any]]:
        infos: list[dict[str, Any]] = [{} for _ in range(self.n_envs)]
        for env, episode, index in self._steps(call):
            if "episode" not in infos[env]:  # of steps that share a place, the end of an episode counts
                infos[env] = self._info(episode, index)
        return infos

    def _info(self, episode: int, index: int) -> StepInfo:
        known: dict[str, Any] = {"TimeLimit.truncated": False}
        if self._is_last(episode, index):
            total, length = float(self._rollouts.returns[episode]), int(self._rollouts.lengths[episode])
            known = {"episode": {"r": total, "l": length, "t": 0.0}}
            known["TimeLimit.truncated"] = bool(self._rollouts.status[episode] == TRUNCATED)
        return StepInfo(known, partial(self._own_info, episode, index))

    def _own_info(self, episode: int, index: int) -> dict[str, Any]:
        """Return what the environment itself says of a step, and what a vector environment adds at the last one."""
        step = self._played(episode)[index]
        return {**step.info, "terminal_observation": step.observation} if self._is_last(episode, index) else step.info

    def _rewards(self, call: int) -> np.ndarray:
        rewards = np.zeros(self.n_envs, np.float32)
        for env, episode, index in self._steps(call):
            rewards[env] += self._played(episode)[index].reward
        return rewards

    def _actions(self, call: int) -> np.ndarray:
        return self._stacked(call, lambda step: step.action)

    def _new_obs(self, call: int) -> np.ndarray:
        return self._stacked(call, lambda step: step.observation)

    def _stacked(self, call: int, part: Callable[[Step], Any]) -> np.ndarray:
        parts: dict[int, Any] = {env: part(self._played(episode)[index]) for env, episode, index in self._steps(call)}
        return np.array([parts.get(env, parts[max(parts)]) for env in range(self.n_envs)])


class StepInfo(dict[str, Any]):
    """The info of a step: the entries that are known, and the environment's own, which are found out when they are asked for."""

    _KNOWN = "episode", "TimeLimit.truncated"

    def __init__(self, known: dict[str, Any], rest: Callable[[], dict[str, Any]]) -> None:
        super().__init__(known)
        self._rest: Callable[[], dict[str, Any]] | None = rest

    def _complete(self) -> StepInfo:
        if self._rest is not None:
            rest, self._rest = self._rest, None
            self.update({**rest(), **dict(dict.items(self))})
        return self

    def __missing__(self, name: str) -> Any:
        if name in self._KNOWN or self._rest is None:
            raise KeyError(name)
        return self._complete()[name]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (name not in self._KNOWN and dict.__contains__(self._complete(), name))

    def get(self, name: str, default: Any = None) -> Any:
        """Return an entry, or `default`."""
        try:
            return self[name]
        except KeyError:
            return default

    def pop(self, name: str, *default: Any) -> Any:
        """Remove an entry and return it, or the default if there is none."""
        return dict.pop(self if name in self._KNOWN else self._complete(), name, *default)

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Return an entry, which is set to the default if there is none."""
        return dict.setdefault(self if name in self._KNOWN else self._complete(), name, default)

    def __eq__(self, other: object) -> bool:
        return dict.__eq__(self._complete(), other)

    def __ne__(self, other: object) -> bool:
        return dict.__ne__(self._complete(), other)

    __hash__ = None

    def __iter__(self) -> Iterator[str]:
        return dict.__iter__(self._complete())

    def __len__(self) -> int:
        return dict.__len__(self._complete())

    def keys(self) -> Any:
        """Return the names of all entries."""
        return dict.keys(self._complete())

    def values(self) -> Any:
        """Return the values of all entries."""
        return dict.values(self._complete())

    def items(self) -> Any:
        """Return all entries."""
        return dict.items(self._complete())

    def __repr__(self) -> str:
        return dict.__repr__(self._complete())

    def __reduce__(self) -> Any:
        """Pickle and copy as a plain dict."""
        return dict, (dict(dict.items(self._complete())),)


class StepLocals(dict[str, Any]):
    """Local variables of `learn`. Those of a step, named in `OF_A_STEP`, are found out when they are asked for."""

    def __init__(self, variables: dict[str, Any]) -> None:
        super().__init__(variables)
        self._value: Callable[[str], Any] | None = None

    def move_to(self, steps: IterationSteps, call: int) -> None:
        """Let the variables of a step be those of a call."""
        self._value = partial(steps.value, call=call)

    def __missing__(self, name: str) -> Any:
        if self._value is None or name not in OF_A_STEP:
            raise KeyError(name)
        return self._value(name)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (self._value is not None and name in OF_A_STEP)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a variable, or `default`."""
        try:
            return self[name]
        except KeyError:
            return default

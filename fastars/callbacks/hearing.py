"""Let callbacks hear of the steps of an iteration, one after the other, when its rollouts are done.

A callback with an `_on_step` of its own hears of every step. Those of fastars and of stable-baselines3 say by their settings
at which steps they act; alone, they hear of these and of the last step of an iteration, and cost next to nothing. The same holds
for an `_on_step` that only returns a constant.
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from fastars.callbacks.again import Again, Episodes
from fastars.callbacks.base import goes_on
from fastars.callbacks.steps import IterationSteps, StepLocals

_THEIRS, _OURS = "stable_baselines3.common.callbacks", "fastars.callbacks."
_CONSTANT = {"RESUME", "NOP", "LOAD_CONST", "LOAD_SMALL_INT", "RETURN_CONST", "RETURN_VALUE"}  # instructions of `return True`
_FAR = 1 << 62  # calls

Distance = Callable[[IterationSteps, int], int]  # from a call to the next one at which a callback may act


class Hearing:
    """All that the callbacks of a call of `learn` hear.

    Parameters
    ----------
    variables : dict
        Local variables of `learn`, for callbacks.
    first_step : int
        Steps of the model when `learn` began.
    n_envs : int
        Environments of the vector environment: a call stands for so many steps.
    one_env : callable
        Returns an environment as that of the run.
    """

    def __init__(self, variables: dict[str, Any], first_step: int, n_envs: int, one_env: Callable[[], Any]) -> None:
        self.locals = StepLocals(variables)
        self._first_step, self._n_envs = first_step, n_envs
        self._again = Again(one_env)
        self.goes_on = True  # False: a callback stopped training
        self._callback: Any = None
        self._distances: list[Distance] = []
        self._counting: list[Any] = []

    def calls(self, callback: Any, before: int, episodes: Episodes) -> Iterator[int]:
        """Yield the steps of the model for each call of `callback.on_step` that is to be made now.

        Parameters
        ----------
        callback : callback
            As `make_callback` returns it.
        before : int
            Steps of the model before the iteration.
        episodes : Episodes
            Those of the iteration.
        """
        if callback is not self._callback:
            self._callback, self._distances = callback, [distance_to_action(each) for each in _leaves(callback)]
            readers = [each for each, distance in zip(_leaves(callback), self._distances, strict=True) if distance is _every_step]
            self._again.readers = ", ".join(map(_name, readers))
            self._counting = list(counted(callback))
        if not self._distances:
            return
        played = partial(self._again.played, episodes)
        steps = IterationSteps(self._first_step, before - self._first_step, episodes.rollouts, self._n_envs, played)
        counting, hears_all, call = self._counting, _every_step in self._distances, 0
        if not steps.n_calls:  # next to no step: callbacks hear of the iteration all the same
            for each in counting:
                each.n_calls -= 1
            self.locals.move_to(steps, 0)
            yield steps.steps_at(0)
        while call < steps.n_calls:
            if not hears_all:
                skipped = min(min(distance(steps, call) for distance in self._distances), steps.n_calls - call) - 1
                for each in counting:
                    each.n_calls += skipped
                call += skipped
            call += 1
            self.locals.move_to(steps, call)
            yield steps.steps_at(call)


def counted(callback: Any) -> Iterator[Any]:
    """Yield a callback if it counts its calls, and the callbacks in it if it is a list. Events, not steps, call all others."""
    if hasattr(callback, "n_calls"):
        yield callback
    for each in getattr(callback, "callbacks", ()):
        yield from counted(each)


def distance_to_action(callback: Any) -> Distance:
    """Return the function that tells how far away the next call is at which a callback may act."""
    on_step, own = (getattr(getattr(callback, name, None), "__func__", None) for name in ("on_step", "_on_step"))
    if own is None or _class_of(on_step) != "BaseCallback":
        return _every_step
    if _is_constant(own) and goes_on(own(callback)):
        return _never
    kind = _class_of(own)
    if kind == "ConvertCallback" and (callback.callback is None or _is_constant(callback.callback)):
        return _never
    if kind not in _KINDS or (kind == "ProgressBarCallback" and own.__module__ == _THEIRS):  # theirs counts its calls itself
        return _every_step
    return partial(_KINDS[kind], callback)


def _leaves(callback: Any) -> Iterator[Any]:
    """Yield the callbacks in a list of callbacks, lists in it opened; any other callback is yielded itself."""
    if _class_of(getattr(getattr(callback, "_on_step", None), "__func__", None)) == "CallbackList":
        for each in callback.callbacks:
            yield from _leaves(each)
    else:
        yield callback


def _class_of(method: Any) -> str:
    """Return the class that a method was written in, if it is a class of stable-baselines3 or of fastars."""
    module = str(getattr(method, "__module__", ""))
    is_known = module == _THEIRS or module.startswith(_OURS)
    return str(method.__qualname__).partition(".")[0] if is_known else ""


def _is_constant(function: Any) -> bool:
    """Return True for a function that returns a constant and does nothing else."""
    return hasattr(function, "__code__") and {each.opname for each in dis.get_instructions(function)} <= _CONSTANT


def _name(callback: Any) -> str:
    """Return the name of a callback's class, or of the function in it."""
    return str(getattr(getattr(callback, "callback", None), "__qualname__", type(callback).__qualname__))


def _every_step(steps: IterationSteps, call: int) -> int:
    return 1


def _never(steps: IterationSteps, call: int) -> int:
    return _FAR


def _to_multiple(name: str, callback: Any, steps: IterationSteps, call: int) -> int:
    frequency = int(getattr(callback, name))
    return frequency - int(callback.n_calls) % frequency if frequency > 0 else _FAR


def _to_time(callback: Any, steps: IterationSteps, call: int) -> int:
    missing = callback.last_time_trigger + callback.n_steps - steps.steps_at(call)
    return max(-(-int(missing) // steps.n_envs), 1)


_KINDS: dict[str, Callable[..., int]] = {
    "CheckpointCallback": partial(_to_multiple, "save_freq"),
    "EvalCallback": partial(_to_multiple, "eval_freq"),
    "EveryNTimesteps": _to_time,
    "StopTrainingOnMaxEpisodes": lambda callback, steps, call: steps.calls_to_an_end(call),
    "EveryIteration": lambda callback, steps, call: _FAR,
    "ProgressBarCallback": lambda callback, steps, call: _FAR,
}

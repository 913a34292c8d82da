"""Callbacks: what is done between the iterations of a run. Names, arguments and attributes are those of stable-baselines3.

Theirs work with `ARS.learn` as well, and ours inside of theirs. An iteration runs in compiled code, so `on_step` is called once for
all of its steps; where it returns False, training stops there.

Callbacks of stable-baselines3 count calls, one for each step of the environment, and act where the count is a multiple of
`save_freq`, `eval_freq`, `check_freq` and the like. `step` keeps that meaning: a callback sees the last multiple that an iteration
passed, and acts at most once in it.
"""

from fastars.callbacks.base import BaseCallback, CallbackList, ConvertCallback, EventCallback
from fastars.callbacks.checkpoints import CheckpointCallback
from fastars.callbacks.evaluation import EvalCallback
from fastars.callbacks.intervals import EveryNTimesteps, LogEveryNTimesteps
from fastars.callbacks.progress import ProgressBarCallback
from fastars.callbacks.running import close, make_callback, step
from fastars.callbacks.stops import StopTrainingOnMaxEpisodes, StopTrainingOnNoModelImprovement, StopTrainingOnRewardThreshold

__all__ = [
    "BaseCallback",
    "CallbackList",
    "CheckpointCallback",
    "ConvertCallback",
    "EvalCallback",
    "EventCallback",
    "EveryNTimesteps",
    "LogEveryNTimesteps",
    "ProgressBarCallback",
    "StopTrainingOnMaxEpisodes",
    "StopTrainingOnNoModelImprovement",
    "StopTrainingOnRewardThreshold",
    "close",
    "make_callback",
    "step",
]

"""Callbacks: code that runs between the iterations of a run. Names, arguments and attributes are as in stable-baselines3.

`ARS.learn` takes callbacks of stable-baselines3 as well, and lists and events of either package can hold callbacks of the other. An
iteration runs in compiled code, so `on_step` is called once for all of its steps; training stops when it returns False.

Callbacks of stable-baselines3 count calls, one for each step of the environment, and act when the count is a multiple of
`save_freq`, `eval_freq`, `check_freq` and the like. `step` keeps that meaning: a callback sees the last multiple that an iteration
passed, and acts at most once per iteration.
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

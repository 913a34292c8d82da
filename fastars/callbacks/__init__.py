"""Callbacks: code that runs during a run. Names, arguments and attributes are as in stable-baselines3.

`ARS.learn` takes callbacks of stable-baselines3 as well, and lists and events of either package can hold callbacks of the other.

The rollouts of an iteration run in compiled code. When they are done and the step is taken, callbacks hear of all their steps, one
after the other: `n_calls` and `num_timesteps` count as in stable-baselines3, and the model that a callback sees is that of the end
of the iteration. Training stops after the call that returns False.
"""

from fastars.callbacks.base import BaseCallback, CallbackList, ConvertCallback, EventCallback
from fastars.callbacks.checkpoints import CheckpointCallback
from fastars.callbacks.evaluation import EvalCallback
from fastars.callbacks.intervals import EveryIteration, EveryNTimesteps, LogEveryNTimesteps
from fastars.callbacks.progress import ProgressBarCallback
from fastars.callbacks.running import close, make_callback
from fastars.callbacks.stops import StopTrainingOnMaxEpisodes, StopTrainingOnNoModelImprovement, StopTrainingOnRewardThreshold

__all__ = [
    "BaseCallback",
    "CallbackList",
    "CheckpointCallback",
    "ConvertCallback",
    "EvalCallback",
    "EventCallback",
    "EveryIteration",
    "EveryNTimesteps",
    "LogEveryNTimesteps",
    "ProgressBarCallback",
    "StopTrainingOnMaxEpisodes",
    "StopTrainingOnNoModelImprovement",
    "StopTrainingOnRewardThreshold",
    "close",
    "make_callback",
]

"""The logger of stable-baselines3, for programs that have imported it."""

from __future__ import annotations

import os
import sys
from typing import Any

from fastars.sb3.classes import PACKAGE


def logger_of_theirs(verbose: int, tensorboard_log: Any, tb_log_name: str, reset_num_timesteps: bool) -> Any:
    """Return the logger that stable-baselines3 makes for a call of `learn` with these arguments.

    A program that has imported it may look for its classes among the outputs, such as the one that writes for TensorBoard.

    Returns
    -------
    stable_baselines3.common.logger.Logger or None
        None where that would write nothing, where the program has not imported it, and where its writer for TensorBoard lacks a
        package that the writer of fastars does not need.
    """
    module = sys.modules.get(f"{PACKAGE}.common.logger")
    writes = verbose or tensorboard_log is not None or os.environ.get("SB3_LOGDIR")
    if module is None or not writes or (tensorboard_log is not None and module.SummaryWriter is None):
        return None
    from stable_baselines3.common.utils import configure_logger

    return configure_logger(verbose, tensorboard_log, tb_log_name, reset_num_timesteps)

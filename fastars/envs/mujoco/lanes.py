"""Models that run over SIMD lanes."""

from __future__ import annotations

from typing import Any

from fastars.envs.compiled import CompiledEnv
from fastars.envs.errors import UnsupportedEnvError
from fastars.physics import lane_model
from fastars.physics.supported import unsupported


def lanes_for(env: CompiledEnv) -> Any:
    """Return the lane model of an environment.

    Raises
    ------
    UnsupportedEnvError
        If lanes can't step its model; the message is a sentence that names the reason.
    """
    if (reason := unsupported(env.model)) is not None:
        raise UnsupportedEnvError(reason)
    return lane_model(env.model)

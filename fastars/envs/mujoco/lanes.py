"""Models that run over SIMD lanes."""

from __future__ import annotations

from typing import Any

from fastars.envs.compiled import CompiledEnv
from fastars.envs.errors import UnsupportedEnvError


def lanes_for(env: CompiledEnv) -> Any:
    """Return the lane model of an environment.

    Raises
    ------
    UnsupportedEnvError
        If lanes can't step its model; the message is a sentence that names the reason.
    """
    raise UnsupportedEnvError(f"{env.id} has no lane model yet")

"""The way to a Ray cluster."""

from __future__ import annotations

import os
import socket
import warnings
from pathlib import Path
from typing import Any

from fastars.envs import WorkerError

_ANSWER_SECONDS = 5.0


def connect(ray: Any, address: str | None = None) -> None:
    """Connect this process to a Ray cluster: to the one at `address`, or that it knows of, or to one of its own on this machine.

    Raises
    ------
    WorkerError
        If there is no cluster at that address.
    """
    if not ray.is_initialized():
        if address is not None and address not in ("auto", "local"):
            _must_answer(address)
        own = {} if address or os.environ.get("RAY_ADDRESS") else {"include_dashboard": False}
        try:
            ray.init(address=address, logging_level="ERROR", **own)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise WorkerError(f"no Ray cluster could be reached at {address or 'RAY_ADDRESS'}: {error}") from error
    host = ray.get_runtime_context().gcs_address.rpartition(":")[0]
    if host not in ("127.0.0.1", "localhost", "::1", ray.util.get_node_ip_address()) and not _asks_for_a_token():
        warnings.warn(
            f"the Ray cluster at {host} runs code of whoever reaches it: let it ask for a token (RAY_AUTH_MODE=token, docs/ray.md)",
            stacklevel=3,
        )


def _must_answer(address: str) -> None:
    """Ray itself tries for two minutes and more."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise WorkerError(f"the address of a Ray cluster must be auto or HOST:PORT, got {address}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise WorkerError(f"no Ray cluster answers at {address}: {error}") from error


def _asks_for_a_token() -> bool:
    """Whether Ray asks whoever connects for a token: if it is told to, or by default where there is one."""
    if mode := os.environ.get("RAY_AUTH_MODE"):
        return mode == "token"
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(named) or (Path.home() / ".ray" / "auth_token").exists()

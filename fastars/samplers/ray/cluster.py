"""Connect to a Ray cluster."""

from __future__ import annotations

import os
import socket
import warnings
from typing import Any

from fastars.envs import WorkerError

_ANSWER_SECONDS = 5.0
_NO_CLIENT = "sampler='ray' does not run through a Ray Client (ray://): start this program on a node of the cluster"


def connect(ray: Any, address: str | None = None) -> str:
    """Connect this process to a Ray cluster: at `address`, or at `RAY_ADDRESS`, or to a new one on this machine.

    Returns
    -------
    str
        A name that no other cluster, and no other connection, has.

    Raises
    ------
    WorkerError
        If there is no cluster at that address, or if this process is a Ray Client.
    """
    if not ray.is_initialized():
        _begin(ray, address)
    if ray.util.client.ray.is_connected():
        raise WorkerError(_NO_CLIENT)
    context = ray.get_runtime_context()
    host = context.gcs_address.rpartition(":")[0]
    is_loopback = host.startswith("127.") or host in ("localhost", "::1")
    if not is_loopback and not _asks_for_a_token():
        warnings.warn(
            f"the Ray cluster at {host} runs code of whoever reaches it: let it ask for a token (RAY_AUTH_MODE=token, docs/ray.md)",
            stacklevel=3,
        )
    return f"{context.gcs_address} {context.get_job_id()}"


def _begin(ray: Any, address: str | None) -> None:
    named = os.environ.get("RAY_ADDRESS") if address in (None, "auto") else address
    if named not in (None, "", "auto", "local"):
        _must_answer(named)
    own = {} if named else {"include_dashboard": False}
    try:
        ray.init(address=address, logging_level="ERROR", **own)
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        hint = "; one that asks for a token takes no other (RAY_AUTH_MODE=token, docs/ray.md)" if named else ""
        raise WorkerError(f"no Ray cluster could be reached at {named or 'this machine'}: {error}{hint}") from error


def _must_answer(address: str) -> None:
    """Raise an error if nothing listens at the address. Ray itself would try for two minutes and more."""
    if "://" in address:
        raise WorkerError(_NO_CLIENT)
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise WorkerError(f"the address of a Ray cluster must be auto or HOST:PORT, got {address}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise WorkerError(f"no Ray cluster answers at {address}: {error}") from error


def _asks_for_a_token() -> bool:
    """Return True if this process sends a token: as the variable says, or as this version of Ray does without it."""
    if (mode := os.environ.get("RAY_AUTH_MODE")) is not None:
        return mode.lower() == "token"
    try:
        from ray._private.authentication.authentication_utils import is_token_auth_enabled
    except ImportError:  # before Ray 2.52
        return False
    return bool(is_token_auth_enabled())

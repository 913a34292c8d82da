"""The option `--ray`: run episodes in actors of a Ray cluster."""

from __future__ import annotations

from typing import Annotated, Any

from fastars._imports import need
from fastars.cli.errors import WrongUseError
from fastars.cli.settings import option

Ray = Annotated[tuple[str, ...] | None, option("[ADDRESS]", "they run here")]


def connect(ray: tuple[str, ...] | None) -> dict[str, Any]:
    """Connect to the cluster that `--ray` names and return the arguments of `ARS` for it; none if `--ray` was not given.

    Parameters
    ----------
    ray : tuple of str, optional
        The address. Empty: the address in `RAY_ADDRESS`, or else a new cluster on this machine.

    Raises
    ------
    WrongUseError
        If there is no such cluster, or the address is wrong.
    """
    if ray is None:
        return {}
    if len(ray) > 1:
        raise WrongUseError(f"--ray takes one address, got {' '.join(ray)}; put ENV or RUN before it")
    address = ray[0] if ray else None
    if address is not None and "://" in address:
        raise WrongUseError(f"--ray takes auto or HOST:PORT, got {address}: start this command on a node of the cluster")
    module = need("ray", "ray", "--ray")
    from fastars.envs import WorkerError
    from fastars.samplers.ray import cluster

    try:
        cluster.connect(module, address)
    except WorkerError as error:
        raise WrongUseError(str(error)) from error
    return {"sampler": "ray"}

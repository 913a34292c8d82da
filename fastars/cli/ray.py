"""`--ray`: episodes run in actors of a Ray cluster."""

from __future__ import annotations

from typing import Annotated, Any

from fastars._imports import need
from fastars.cli import WrongUseError
from fastars.cli.settings import option

Ray = Annotated[tuple[str, ...] | None, option("[ADDRESS]", "they run here")]


def connect(ray: tuple[str, ...] | None) -> dict[str, Any]:
    """Connect to the cluster that `--ray` names, if it was given; the arguments of `ARS` that say where episodes run.

    Parameters
    ----------
    ray : tuple of str, optional
        An address, or none: that of `RAY_ADDRESS`, or else a cluster of one's own on this machine.
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

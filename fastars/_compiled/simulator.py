"""The protocol of simulators: the functions that an environment's episode calls, beside its own (`simulated`).

They belong to the type of `sim`, the simulator's memory for one thread:

    reset_data(sim)                                  puts it into the state that it was made in
    forward(sim)                                     computes what follows from positions and velocities
    simulate(sim, action, n_steps, with_contact_forces)

A physics over lanes is no simulator in this sense, as it steps several episodes at once: see `protocol`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from numba.extending import overload

from fastars._compiled.jit import INLINE


class SimulatorFunctions(NamedTuple):
    """The functions of a simulator."""

    reset_data: Callable[..., Any]
    forward: Callable[..., Any]
    simulate: Callable[..., Any]


_SIMULATORS: dict[type, SimulatorFunctions] = {}


def register_simulator(
    sim_type: type, reset_data: Callable[..., Any], forward: Callable[..., Any], simulate: Callable[..., Any]
) -> None:
    """Register the functions of a simulator (compiled by `jit.inline`) for the NamedTuple class of its memory."""
    _SIMULATORS[sim_type] = SimulatorFunctions(reset_data, forward, simulate)


def reset_data(sim):
    """Put the simulation into the state that it was made in."""
    _SIMULATORS[type(sim)].reset_data(sim)


@overload(reset_data, jit_options=INLINE)
def _reset_data(sim):
    kernel = _SIMULATORS[sim.instance_class].reset_data
    return lambda sim: kernel(sim)


def forward(sim):
    """Compute everything that follows from positions and velocities."""
    _SIMULATORS[type(sim)].forward(sim)


@overload(forward, jit_options=INLINE)
def _forward(sim):
    kernel = _SIMULATORS[sim.instance_class].forward
    return lambda sim: kernel(sim)


def simulate(sim, action, n_steps, with_contact_forces):
    """Take `n_steps` steps under `action`."""
    _SIMULATORS[type(sim)].simulate(sim, action, n_steps, with_contact_forces)


@overload(simulate, jit_options=INLINE)
def _simulate(sim, action, n_steps, with_contact_forces):
    kernel = _SIMULATORS[sim.instance_class].simulate
    return lambda sim, action, n_steps, with_contact_forces: kernel(sim, action, n_steps, with_contact_forces)

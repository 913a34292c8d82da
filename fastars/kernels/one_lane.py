"""One lane of a physics over lanes, as an environment sees it."""

from numba.extending import overload

from fastars._compiled.jit import INLINE, inline
from fastars._compiled.simulated import needs_contact_forces, reads_outputs, type_reads_outputs


@inline
def read_lane(env, lanes, lane, sim, has_stepped):
    """Copy the state of a lane, and its outputs if the environment reads any, to `sim`.

    Contact forces are 0 unless they are wanted and the lane has stepped, as in MuJoCo.
    """
    for k in range(sim.qpos.shape[0]):
        sim.qpos[k] = lanes.qpos[k, lane]
    for k in range(sim.qvel.shape[0]):
        sim.qvel[k] = lanes.qvel[k, lane]
    for k in range(sim.ctrl.shape[0]):
        sim.ctrl[k] = lanes.ctrl[k, lane]
    read_outputs(env, lanes, lane, sim, has_stepped)


def read_outputs(env, lanes, lane, sim, has_stepped):
    """Copy the outputs of a lane to `sim`, if the environment reads any."""
    if reads_outputs(env):
        read_all(env, lanes.outputs[lane], sim, has_stepped)


@overload(read_outputs, jit_options=INLINE)
def _read_outputs(env, lanes, lane, sim, has_stepped):
    # By type: 2 s less of compilation where there is nothing to read.
    if type_reads_outputs(env):
        return lambda env, lanes, lane, sim, has_stepped: read_all(env, lanes.outputs[lane], sim, has_stepped)
    return lambda env, lanes, lane, sim, has_stepped: None


@inline
def read_all(env, outputs, sim, has_stepped):
    """Copy all outputs of a lane."""
    n = read(outputs, 0, sim.xpos)
    n = read(outputs, n, sim.xquat)
    n = read(outputs, n, sim.xipos)
    n = read(outputs, n, sim.site_xpos)
    n = read(outputs, n, sim.subtree_com)
    n = read(outputs, n, sim.qacc)
    n = read(outputs, n, sim.qfrc_actuator)
    n = read(outputs, n, sim.qfrc_constraint)
    if has_stepped and needs_contact_forces(env):
        read(outputs, n, sim.cfrc_ext)
    else:
        sim.cfrc_ext[:] = 0.0


@inline
def read(outputs, start, array):
    """Fill an array from `outputs[start:]`; return the index after it."""
    flat = array.reshape(array.size)
    for k in range(flat.shape[0]):
        flat[k] = outputs[start + k]
    return start + flat.shape[0]


@inline
def write_state(lanes, lane, sim):
    """Put the state of `sim` into a lane, as the first one of an episode.

    The solver starts from an acceleration of 0, as after a reset in MuJoCo.
    """
    for k in range(sim.qpos.shape[0]):
        lanes.qpos[k, lane] = sim.qpos[k]
    for k in range(sim.qvel.shape[0]):
        lanes.qvel[k, lane] = sim.qvel[k]
        lanes.qacc_warmstart[k, lane] = 0.0
    for k in range(sim.ctrl.shape[0]):
        lanes.ctrl[k, lane] = 0.0
    lanes.is_bad[lane] = 0


@inline
def copy_lane(lanes, source, target):
    """Make a lane simulate what another lane does."""
    for k in range(lanes.qpos.shape[0]):
        lanes.qpos[k, target] = lanes.qpos[k, source]
    for k in range(lanes.qvel.shape[0]):
        lanes.qvel[k, target] = lanes.qvel[k, source]
        lanes.qacc_warmstart[k, target] = lanes.qacc_warmstart[k, source]
    for k in range(lanes.ctrl.shape[0]):
        lanes.ctrl[k, target] = lanes.ctrl[k, source]

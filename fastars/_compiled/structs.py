"""The NamedTuples that are passed to compiled code. A kernel picks its code by their types, never by a string.

Shapes: `n` candidates, `m` episodes (m = n * episodes per candidate), `n_obs` observation entries, `n_act` action scores.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
NoiseArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
SeedArray = npt.NDArray[np.uint64]

# How an episode ended (`Rollouts.status`).
RUNNING, TERMINATED, TRUNCATED, NONFINITE, UNSTABLE, FAILED = 0, 1, 2, 3, 4, 5


class Argmax(NamedTuple):
    """Actions of a Discrete space: `start` plus the index of the largest score (among equals, the first)."""

    start: int = 0


class Clip(NamedTuple):
    """Actions of a Box space: each score, as float32, clipped to its bounds."""


class Unclipped(NamedTuple):
    """Actions of a Box space: each score as float32, not clipped. The environment must handle values out of bounds."""


class Squash(NamedTuple):
    """Actions of a Box space: low + (tanh(score) + 1) / 2 * (high - low)."""


class Choices(NamedTuple):
    """Actions of a MultiDiscrete space: for each entry, `starts` plus the index of the largest of its `sizes` scores."""

    starts: IntArray
    sizes: IntArray


class Signs(NamedTuple):
    """Actions of a MultiBinary space: 1 for each score above 0."""


class Tanh(NamedTuple):
    """Activation of hidden layers: the hyperbolic tangents of their sums."""


class Relu(NamedTuple):
    """Activation of hidden layers: their sums, or 0 for negative sums."""


class Swish(NamedTuple):
    """Activation of hidden layers: x / (1 + exp(-x)) of their sums x; PyTorch's SiLU."""


class Identity(NamedTuple):
    """No activation: the outputs of hidden layers are their sums."""


class LinearPolicy(NamedTuple):
    """A linear policy: scores = W x (+ b), x the filtered observation.

    Flat weights are `W.ravel()` of W (n_act, n_obs), then b (n_act,): the order of torch's `parameters_to_vector` for this layer.
    """

    with_bias: bool = False


class MlpPolicy(NamedTuple):
    """A multilayer perceptron: scores = W_n h_n (+ b_n), h_k = activation(W_k h_(k-1) (+ b_k)), h_0 the filtered observation.

    Flat weights are, layer after layer, `W.ravel()` of W (outputs, inputs), then b (outputs,): the order of torch's
    `parameters_to_vector` for stable-baselines3's `create_mlp`. The number of layers selects the compiled code, their sizes don't.
    """

    net_arch: tuple[int, ...] = (64, 64)  # sizes of the hidden layers
    activation: Relu | Tanh | Swish | Identity = Relu()
    with_bias: bool = True


class Filter(NamedTuple):
    """The filter of observations, constant during an iteration: x = clip((observation - mean) * scale, -clip, clip).

    (0, 1, inf) leaves observations unchanged.
    """

    mean: FloatArray  # (n_obs,)
    scale: FloatArray  # (n_obs,), 1 / deviation; 0 for a feature that the policy sees as 0
    clip: float


class Simulation(NamedTuple):
    """Memory of a simulator for one thread: an MjData and views of its arrays, named as in MuJoCo.

    Or room for one lane of `SimulationLanes`: plain arrays, addresses that are 0, and NaN where lanes compute nothing.
    `nq` positions, `nv` velocities, `nu` actuators, `nbody` bodies of which body 0 is the world.
    """

    model: int  # address of the mjModel, which all threads share
    data: int  # address of the mjData
    frame: npt.NDArray[np.uint8]  # the return address from a fatal error, and the text of the error
    fault: IntArray  # (1,), 0, or the status with which the simulator ends an episode: UNSTABLE or FAILED
    bad: npt.NDArray[np.int32]  # (4,), MuJoCo's counts, since the reset, of bad numbers in qpos, qvel, qacc and ctrl
    qpos: FloatArray  # (nq,)
    qvel: FloatArray  # (nv,)
    act: FloatArray  # (na,), states of the actuators
    ctrl: FloatArray  # (nu,)
    qacc: FloatArray  # (nv,)
    xpos: FloatArray  # (nbody, 3), m, positions of the bodies
    xquat: FloatArray  # (nbody, 4)
    xipos: FloatArray  # (nbody, 3), m, positions of their centres of mass
    site_xpos: FloatArray  # (nsite, 3), m
    subtree_com: FloatArray  # (nbody, 3), m
    sensordata: FloatArray  # (nsensordata,)
    cinert: FloatArray  # (nbody, 10), inertia about the centre of mass of the tree
    cvel: FloatArray  # (nbody, 6), rotational and translational velocity
    cfrc_ext: FloatArray  # (nbody, 6), external torque and force; 0 unless they are computed
    qfrc_actuator: FloatArray  # (nv,)
    qfrc_constraint: FloatArray  # (nv,)


class SimulationLanes(NamedTuple):
    """Memory of one thread that simulates `LANES` episodes side by side, named as in MuJoCo.

    A row of an array is a number in lanes. `outputs` holds, for each lane, one after the other: xpos (nbody * 3),
    xquat (nbody * 4), xipos (nbody * 3), site_xpos (nsite * 3), subtree_com (nbody * 3), qacc (nv), qfrc_actuator (nv),
    qfrc_constraint (nv) and cfrc_ext (nbody * 6).
    """

    physics: Any  # its type picks the functions that step; what is in it is theirs
    qpos: FloatArray  # (nq, LANES)
    qvel: FloatArray  # (nv, LANES)
    ctrl: FloatArray  # (nu, LANES)
    qacc_warmstart: FloatArray  # (nv, LANES)
    is_bad: IntArray  # (LANES,), 1 where MuJoCo would have reset the simulation for bad numbers; it stays until the caller sets 0
    outputs: FloatArray  # (LANES, n_outputs), no columns if nobody reads them
    sim: Simulation  # room for one lane, as environments see it; its addresses are 0


class RolloutSpec(NamedTuple):
    """Everything that defines a rollout but the candidate and the seed: environment, policy, action space and time limit."""

    env: Any  # NamedTuple of the environment's constants: its type picks the functions of the environment
    policy: Any  # LinearPolicy or MlpPolicy
    actions: Any  # from scores to an action: Argmax, Clip, Unclipped or Squash
    low: Any  # bounds of the scores, one float32 per score; their number is n_act. A tuple, or an array where there is a simulator
    high: Any
    max_steps: int  # time limit of an episode, in steps
    is_fused: bool = False  # True if NumPy's BLAS rounds a * b + c once; used where a step gives several rewards
    reward_weights: Any = ()  # a float64 for each reward of a step; () if the reward is a number


class Moments(NamedTuple):
    """Moments of the observations that the policy acted on, a row per episode: merged in order, they make the filter."""

    count: IntArray  # type: ignore[assignment]  # (m,) observations
    mean: FloatArray  # (m, n_obs)
    m2: FloatArray  # (m, n_obs), sum of squared deviations from the mean


class Rollouts(NamedTuple):
    """Results of m episodes, an entry per episode.

    Attributes
    ----------
    returns : ndarray of float64, shape (m,)
        Sum of rewards (weighted, if a step gives several); NaN where the status is `NONFINITE` or `UNSTABLE`.
    lengths : ndarray of int64, shape (m,)
        Steps taken.
    status : ndarray of int64, shape (m,)
        `TERMINATED` (1), `TRUNCATED` (2, the time limit), `NONFINITE` (3: an observation or reward was NaN or infinite; the episode
        ended there), `UNSTABLE` (4: the simulator found bad numbers in its state; likewise) or `FAILED` (5: the environment failed
        in two attempts).
    moments : Moments
        Has no rows if observations were not tracked.
    task_returns : ndarray of float64, shape (m, n_tasks)
        Of each reward, the sum; NaN where `returns` is. No columns where the reward is a number.
    n_failures : int
        Attempts at an episode that failed in an environment in Python; 0 for compiled environments.
    n_restarts : int
        Worker processes that were replaced; 0 where there are none.
    """

    returns: FloatArray
    lengths: IntArray
    status: IntArray
    moments: Moments
    task_returns: FloatArray
    n_failures: int = 0
    n_restarts: int = 0


def empty_rollouts(n_episodes: int, n_obs: int, track: bool, n_tasks: int = 0) -> Rollouts:
    """Make arrays for the results of `n_episodes` episodes; `track` is True if the moments of their observations are needed."""
    rows = n_episodes if track else 0
    return Rollouts(
        returns=np.zeros(n_episodes),
        lengths=np.zeros(n_episodes, np.int64),
        status=np.zeros(n_episodes, np.int64),
        moments=Moments(np.zeros(rows, np.int64), np.zeros((rows, n_obs)), np.zeros((rows, n_obs))),
        task_returns=np.zeros((n_episodes, n_tasks)),
    )


def identity_filter(n_obs: int) -> Filter:
    """Return the filter that leaves observations unchanged."""
    return Filter(np.zeros(n_obs), np.ones(n_obs), np.inf)

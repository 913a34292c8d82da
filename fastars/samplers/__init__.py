"""Samplers evaluate candidates: in compiled kernels, in MuJoCo, over lanes, or in Python, in this process or in others."""

from __future__ import annotations

from typing import Any

from fastars.envs import CompiledEnv
from fastars.envs.env_tuple import EnvTuple
from fastars.envs.gym import GymEnv
from fastars.samplers.sampler import Sampler

__all__ = ["Sampler", "make_sampler"]


def make_sampler(
    env: CompiledEnv | GymEnv | EnvTuple,
    policy: Any,
    clip_actions: bool = True,
    squash_output: bool = False,
    n_threads: int | None = None,
    n_workers: int = 1,
    env_timeout: float | None = 60.0,
    own_process: bool = False,
) -> Sampler:
    """Make the sampler of a policy in an environment, on this machine.

    Parameters
    ----------
    env : CompiledEnv, GymEnv or EnvTuple
        From `fastars.envs.environment`. Its `physics` picks the sampler of a MuJoCo environment.
    policy : LinearPolicy or MlpPolicy
        Structure of the policy.
    clip_actions, squash_output : bool
        Form of the actions in a Box space: clipped to its bounds, or squashed by tanh.
    n_threads : int, optional
        Threads for a compiled environment. Default: as many as the CPUs that this process may keep busy.
    n_workers : int
        Processes for an environment in Python; 1 is this process.
    env_timeout : float, optional
        Seconds that a call of an environment in Python may take in a worker process. None: no limit.
    own_process : bool
        True if an environment in Python runs outside this process even with one worker.

    Raises
    ------
    UnsupportedEnvError
        If the physics of `env` is "lanes", which its model does not have.
    """
    if isinstance(env, EnvTuple):
        from fastars.samplers.env_tuple import EnvTupleSampler

        arguments = policy, clip_actions, squash_output, n_threads, n_workers, env_timeout, own_process
        return EnvTupleSampler(env, [make_sampler(one, *arguments) for one in env.envs])
    spec = env.rollout_spec(policy, clip_actions, squash_output)
    if isinstance(env, GymEnv):
        from fastars.samplers.gym import GymSampler

        return GymSampler(env, spec, n_workers, env_timeout, own_process=own_process)
    if env.model is None:
        from fastars.samplers.compiled import CompiledSampler

        return CompiledSampler(spec, n_threads)
    if env.physics == "lanes":
        from fastars.envs.mujoco.lanes import lane_model_of
        from fastars.samplers.physics import PhysicsSampler

        return PhysicsSampler(env, spec, n_threads, lane_model_of(env))
    from fastars.samplers.simulated import SimulatedSampler

    return SimulatedSampler(env, spec, n_threads)

"""Where candidates are evaluated: in compiled kernels on threads, in a simulator, or in Python, here or in worker processes."""

from __future__ import annotations

from typing import Any, Protocol

from fastars._compiled.structs import Filter, FloatArray, Rollouts, SeedArray
from fastars.envs import CompiledEnv
from fastars.envs.env_tuple import EnvTuple
from fastars.envs.gym import GymEnv


class Sampler(Protocol):
    """What evaluates candidates."""

    def evaluate(self, weights: FloatArray, filter: Filter, seeds: SeedArray, track: bool, reward_weights: Any = None) -> Rollouts:
        """Run episodes.

        Parameters
        ----------
        weights : ndarray of float64, shape (n, n_weights)
            A candidate's flat weights per row.
        filter : Filter
            Applied to every observation.
        seeds : ndarray of uint64, shape (m,)
            A seed per episode, m a multiple of n: episode j runs candidate j // (m // n) and starts as `env.reset(seed=seeds[j])`.
        track : bool
            Whether to keep the moments of the observations.
        reward_weights : array_like of float, shape (n_tasks,), optional
            What the rewards of a step are multiplied by before they are summed into `returns`. Default: 1 each.

        Returns
        -------
        Rollouts
            A function of the arguments alone, whatever runs the episodes.

        Raises
        ------
        ValueError
            For weights that are not n_tasks finite numbers, or where the reward is a number.
        """

    @property
    def description(self) -> str:
        """Where episodes run, and why there."""

    def close(self) -> None:
        """Let go of what it holds; it can be used again."""


def make_sampler(
    env: CompiledEnv | GymEnv | EnvTuple,
    policy: Any,
    clip_actions: bool = True,
    squash_output: bool = False,
    n_threads: int | None = None,
    n_workers: int = 1,
    env_timeout: float | None = 60.0,
    apart: bool = False,
) -> Any:
    """The sampler of a policy in an environment: threads are for compiled ones, workers and their timeout for those in Python.

    `apart` keeps an environment in Python out of this process, also if there is one worker only.
    """
    if isinstance(env, EnvTuple):
        from fastars.samplers.env_tuple import EnvTupleSampler

        arguments = policy, clip_actions, squash_output, n_threads, n_workers, env_timeout, apart
        return EnvTupleSampler(env, [make_sampler(one, *arguments) for one in env.envs])
    task = env.rollout_spec(policy, clip_actions, squash_output)
    if isinstance(env, GymEnv):
        from fastars.samplers.gym import GymSampler

        return GymSampler(env, task, n_workers, env_timeout, apart=apart)
    from fastars._runtime.cpus import available_cpus
    from fastars.samplers.compiled import CompiledSampler

    n_threads = n_threads or available_cpus()
    if env.model is None:
        return CompiledSampler(task, n_threads)
    from fastars.samplers.simulated import SimulatedSampler

    return SimulatedSampler(env, task, n_threads)

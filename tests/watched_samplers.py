"""A sampler that keeps what its evaluations reported, for tests of failures and of worker processes."""

from fastars.envs import environment
from fastars.samplers.gym import GymSampler


class Watched:
    """A sampler with sums over its evaluations: their failures, and the workers that were replaced."""

    def __init__(self, sampler):
        self.sampler, self.failures = sampler, []
        self.on_failure = self.failures.append
        self.n_failures = self.n_restarts = 0

    def __getattr__(self, name):
        return getattr(self.sampler, name)

    def evaluate(self, *args):
        rollouts = self.sampler.evaluate(*args, on_failure=self.on_failure)
        self.n_failures += rollouts.n_failures
        self.n_restarts += rollouts.n_restarts
        return rollouts


def watched(env, policy, n_workers, **settings):
    """A watched sampler of an environment in Python."""
    env = environment(env, compiled=False)
    return Watched(GymSampler(env, env.rollout_spec(policy), n_workers, **settings))

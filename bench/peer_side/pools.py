"""EnvPool: all environments at a time, or some."""

import envpool
import numpy as np

from bench.peer_side.policies import actor, linear_policy


def known(env_id):
    return env_id in envpool.list_all_envs()


class EnvPool:
    """Environments that are stepped together, `n_steps` times in a repetition."""

    def __init__(self, env_id, n_envs, n_threads, n_steps, policy=None, actions=None):
        self.envs = envpool.make_gymnasium(env_id, num_envs=n_envs, num_threads=n_threads, seed=0)
        self.act, self.n_envs, self.n_steps = actor(policy, actions), n_envs, n_steps
        self.observations, _ = self.envs.reset()

    def run(self):
        for _ in range(self.n_steps):
            self.observations = self.envs.step(self.act(self.observations))[0]
        return self.n_steps * self.n_envs

    def trace(self, n_steps):
        """Return observations before and after, actions, and False for steps that only reset: those after the end of an episode."""
        before, _ = self.envs.reset()
        was_reset, rows = np.zeros(self.n_envs, bool), []
        for _ in range(n_steps):
            actions = self.act(before)
            after, _, terminated, truncated, _ = self.envs.step(actions)
            rows.append((before, actions, after, ~was_reset))
            before, was_reset = after, terminated | truncated
        return [np.array(column) for column in zip(*rows, strict=True)]


class AsyncEnvPool:
    """Actions are computed for `n_waited` environments at a time; a reset does not count as a step."""

    def __init__(self, env_id, n_envs, n_waited, n_threads, n_steps, policy, max_steps):
        self.envs = envpool.make_gymnasium(
            env_id, num_envs=n_envs, batch_size=n_waited, num_threads=n_threads, seed=0, max_episode_steps=max_steps
        )
        self.matrix, self.rest = policy[0], policy[1:]
        self.act, self.is_whole = linear_policy(*policy), n_waited == n_envs
        self.n_calls = -(-n_steps // n_waited)
        self.envs.async_reset()

    def run(self):
        taken = 0
        for _ in range(self.n_calls):
            observations, *_, info = self.envs.recv()
            chosen = info["env_id"]
            act = self.act if self.is_whole else linear_policy(self.matrix[chosen], *self.rest)
            self.envs.send(act(observations), chosen)
            taken += np.count_nonzero(info["elapsed_step"])
        return int(taken)

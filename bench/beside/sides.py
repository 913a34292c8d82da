"""Trainers of the packages, with one interface: train for some steps, and act on a batch of observations.

Each is used as its own documentation says: stable-baselines3 with a `VecNormalize` around its environment, fastars with
`preset="sb3"`, which takes all choices of stable-baselines3-contrib that are not arguments.
"""

import functools
from typing import Any, Protocol

import numpy as np

from bench.beside.rows import LANES, OURS, PPO, THEIRS, AloneRow, Row
from bench.script_runs import Lasting

AnyRow = Row | AloneRow


class Trainer(Protocol):
    """A run of one package."""

    @property
    def n_steps(self) -> int:
        """Environment steps of training so far."""

    def train(self, n_steps: int) -> None:
        """Train for at least so many more steps: to the end of the iteration that has the last of them."""

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Return the actions of the present policy, without noise. It has the statistics of training for its observations."""

    def close(self) -> None:
        """End its processes."""


class Fastars:
    """fastars, in MuJoCo's own steps or over lanes."""

    def __init__(self, row: AnyRow, seed: int) -> None:
        from fastars import ARS

        settings = row.settings | ({"physics": "lanes"} if row.side == LANES else {})
        policy = settings.pop("policy")
        self.model = ARS(
            policy,
            row.env_id,
            seed=seed,
            preset="sb3",
            normalize_observations=row.normalize,
            n_threads=row.threads,
            diagnostics=False,
            **settings,
        )

    @property
    def n_steps(self) -> int:
        return self.model.num_timesteps

    def train(self, n_steps: int) -> None:
        self.model.learn(n_steps, reset_num_timesteps=False, log_interval=None)

    def act(self, observations: np.ndarray) -> np.ndarray:
        return self.model.predict(observations, deterministic=True)[0]

    def close(self) -> None:
        self.model.close()


class Theirs:
    """A model of stable-baselines3 or stable-baselines3-contrib."""

    def __init__(self, row: AnyRow, seed: int) -> None:
        import torch

        torch.set_num_threads(1)  # PPO took 1,200 steps per second so, and 680 with two threads
        self.env = vec_env(row, seed)
        self.keywords: dict[str, Any] = {}
        self.model = self.make(row, seed)

    def make(self, row: AnyRow, seed: int) -> Any:
        raise NotImplementedError

    @property
    def n_steps(self) -> int:
        return self.model.num_timesteps

    def train(self, n_steps: int) -> None:
        self.model.learn(n_steps, reset_num_timesteps=False, log_interval=None, **self.keywords)

    def act(self, observations: np.ndarray) -> np.ndarray:
        seen = getattr(self.env, "normalize_obs", np.asarray)(observations)
        return self.model.predict(seen, deterministic=True)[0]

    def close(self) -> None:
        self.env.close()


class TheirARS(Theirs):
    """ARS of stable-baselines3-contrib; on several threads with its `AsyncEval`, in as many processes."""

    def make(self, row: AnyRow, seed: int) -> Any:
        from sb3_contrib import ARS

        model = ARS(env=self.env, seed=seed, **row.settings)
        if row.threads > 1:
            from sb3_contrib.common.vec_env import AsyncEval

            makers = [functools.partial(vec_env, row, None)] * row.threads
            workers = AsyncEval(makers, model.policy, start_method="spawn", n_eval_episodes=model.n_eval_episodes)
            workers.seed(seed)  # waits for them
            self.keywords = {"async_eval": Lasting(workers)}
        return model

    def close(self) -> None:
        for workers in self.keywords.values():
            workers.workers.close()
        super().close()


class TheirPPO(Theirs):
    """PPO of stable-baselines3."""

    def make(self, row: AnyRow, seed: int) -> Any:
        import stable_baselines3
        import torch

        settings = dict(row.settings)
        of_policy = settings.pop("policy_kwargs")
        of_policy = of_policy | {"activation_fn": getattr(torch.nn, of_policy["activation_fn"])}
        return stable_baselines3.PPO("MlpPolicy", self.env, seed=seed, device="cpu", policy_kwargs=of_policy, **settings)


def vec_env(row: AnyRow, seed: int | None) -> Any:
    """Return the environment of a row as stable-baselines3 wants it: normalised, for PPO with its rewards, if the row says so."""
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

    env = make_vec_env(row.env_id, seed=seed)
    if not row.normalize:
        return env
    of_rewards = {"gamma": row.settings["gamma"]} if row.side == PPO else {"norm_reward": False}
    return VecNormalize(env, **of_rewards)


CLASSES: dict[str, Any] = {OURS: Fastars, LANES: Fastars, THEIRS: TheirARS, PPO: TheirPPO}


def make_trainer(row: AnyRow, seed: int) -> Trainer:
    """Return the trainer of a row; kernels are compiled, and workers are ready."""
    if CLASSES[row.side] is Fastars:
        first = Fastars(row, seed)
        first.train(1)
        first.close()
    return CLASSES[row.side](row, seed)

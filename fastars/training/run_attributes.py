"""The attributes of a model that are read from its run and its state."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from fastars._compiled.structs import FloatArray, NoiseArray
from fastars._validate import MOST_INT64, integer
from fastars.envs import CompiledEnv
from fastars.samplers import Sampler
from fastars.training.objectives import Objectives
from fastars.training.run import Run
from fastars.training.state import State
from fastars.training.stored_env import env_kwargs

if TYPE_CHECKING:
    from fastars.training.config import Config


class RunAttributes:
    """Attributes of `ARS` that describe the run. None of them is a state of its own."""

    run: Run
    state: State
    _heard_steps: int | None = None  # steps up to the one that callbacks hear of, while they do

    # --- The fixed part

    @property
    def config(self) -> Config:
        """The settings."""
        return self.run.config

    @property
    def seed(self) -> int:
        """The seed of everything random in the run."""
        return self.config.seed

    @property
    def objectives(self) -> Objectives | None:
        """The tasks of a vector reward: names, weights, losses; None for a scalar reward.

        It is a value: read it again after an iteration. Attributes of `objectives.method` that are set between two calls of `learn`
        are kept.
        """
        return self.state.tasks

    @property
    def sampler(self) -> Sampler:
        """It runs the episodes, and its `description` tells where. Assign another `Sampler` to run them elsewhere."""
        return self.run.sampler

    @sampler.setter
    def sampler(self, sampler: Sampler) -> None:
        self.run = dataclasses.replace(self.run, sampler=sampler)

    @property
    def preset(self) -> str:
        """The preset of the settings."""
        return self.run.preset

    @property
    def backend(self) -> str:
        """Name of the backend: "numba" for the kernels, "numpy" for the reference."""
        return self.run.execution.backend

    @property
    def n_threads(self) -> int:
        """Threads of compiled environments."""
        return self.run.n_threads

    @property
    def n_workers(self) -> int | None:
        """Processes that step environments in Python."""
        return self.run.execution.n_workers

    @property
    def env_id(self) -> str:
        """Id of the environment."""
        return self.run.env.id

    @property
    def env_kwargs(self) -> dict[str, Any]:
        """Keyword arguments of `gymnasium.make` that the environment was made with, its time limit among them."""
        return env_kwargs(self.run.env)

    @property
    def is_compiled(self) -> bool:
        """True if the environment runs in compiled kernels; `model.sampler` tells the reason if not."""
        return isinstance(self.run.env, CompiledEnv)

    @property
    def observation_space(self) -> Any:
        """The observation space of the environment."""
        return self.run.env.observation_space

    @property
    def action_space(self) -> Any:
        """The action space of the environment."""
        return self.run.env.action_space

    @property
    def noise(self) -> NoiseArray:
        """The whole noise table, float32. A run fills only the parts that its directions need; it depends on the seed alone."""
        return self.run.noise.whole()

    # --- The state

    @property
    def theta(self) -> FloatArray:
        """Flat weights of the policy, float64 (n_weights,)."""
        return self.state.theta

    @property
    def n_weights(self) -> int:
        """Weights of the policy."""
        return self.state.theta.size

    @property
    def iteration(self) -> int:
        """Iterations done."""
        return self.state.counters.iteration

    @property
    def num_timesteps(self) -> int:
        """Environment steps of training; in a callback, those up to the step that it hears of."""
        return self.state.counters.num_timesteps if self._heard_steps is None else self._heard_steps

    @num_timesteps.setter
    def num_timesteps(self, num_timesteps: int) -> None:
        self.state = self.state.counting(num_timesteps=integer("num_timesteps", num_timesteps, 0, MOST_INT64))

    @property
    def num_episodes(self) -> int:
        """Training episodes."""
        return self.state.counters.num_episodes

    @property
    def num_updates(self) -> int:
        """Iterations that made a step."""
        return self.state.counters.num_updates

    @property
    def dropped_pairs(self) -> int:
        """Pairs that were left out, as a return was not finite."""
        return self.state.counters.dropped_pairs

    @property
    def penalized_pairs(self) -> int:
        """Pairs that were used although a return was not finite (`on_nonfinite="penalize"`)."""
        return self.state.counters.penalized_pairs

    @property
    def unstable_episodes(self) -> int:
        """Episodes that a simulator ended, as its state had bad numbers."""
        return self.state.counters.unstable_episodes

    @property
    def env_failures(self) -> int:
        """Attempts at an episode in which an environment in Python failed."""
        return self.state.counters.env_failures

    @property
    def worker_restarts(self) -> int:
        """Worker processes that were replaced."""
        return self.state.counters.worker_restarts

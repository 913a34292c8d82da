"""RLlib's algorithm ARS over `fastars.ARS`: an iteration, its result, the policy, and checkpoints."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import fastars.ars
from fastars._compiled.structs import FloatArray
from fastars._validate import user_facing
from fastars.files.checkpoint import CheckpointError, name_of
from fastars.files.opening import file_in, without_link
from fastars.rllib.callbacks import call, made
from fastars.rllib.checkpoint import MODEL, ConfigToRestore, Counts, folder_of, read_counts, stored_counts, write_counts
from fastars.rllib.config import ARSConfig
from fastars.rllib.policy import POLICY_ID, Policy
from fastars.rllib.results import Since, Spent, evaluation_result, train_result
from fastars.rllib.workers import Workers
from fastars.training.file_limits import limited_run

_CHANGEABLE = ("learning_rate", "delta_std", "n_delta", "n_top", "alive_bonus_offset")  # of a run that `restore` continues
_STREAM = 0x52  # of episodes that evaluate, apart from the episodes of training


class Algorithm:
    """The methods of an algorithm without Ray. Ray Tune calls `setup`, `step`, `save_checkpoint`, `load_checkpoint`, `cleanup`.

    Attributes
    ----------
    config : ARSConfig
        The settings, frozen.
    model : fastars.ARS
        The model that is trained.
    policy : Policy
    callbacks : DefaultCallbacks
    workers : Workers
        A list.
    """

    config: Any
    model: fastars.ars.ARS
    policy: Policy

    def setup(self, config: ARSConfig | Mapping[str, Any] | None) -> None:
        """Make the model."""
        settings = config.copy(copy_frozen=False) if isinstance(config, ARSConfig) else type(self).get_default_config()
        if not isinstance(config, ARSConfig):
            settings.update_from_dict(config or {})
        arguments = settings.arguments()
        settings.freeze()
        self.config, self.callbacks = settings, made(settings.callbacks_class)
        model = fastars.ars.ARS(**arguments)
        if not model.is_compiled and settings.num_rollout_workers > 1:
            model.close()
            arguments["seed"] = model.seed
            model = fastars.ars.ARS(**arguments, n_workers=settings.num_rollout_workers)
        self.hold(model)
        self._counts = self._restored = Counts()
        self._iteration_restored = 0
        call(self.callbacks, "on_algorithm_init", algorithm=self)

    def hold(self, model: fastars.ars.ARS) -> None:
        """Take a model as the one that is trained."""
        self.model, self.policy = model, Policy(model, self.config.to_dict())

    def __copy__(self) -> Algorithm:
        """Return an algorithm with a copy of the model; training one does not move the other."""
        copied = type(self).__new__(type(self))
        vars(copied).update(vars(self))
        copied.hold(copy.copy(self.model))
        return copied

    @classmethod
    def get_default_config(cls) -> ARSConfig:
        """Return the default settings."""
        return ARSConfig(cls)

    def get_config(self) -> ARSConfig:
        """Return the settings."""
        return self.config

    @property
    def iteration(self) -> int:
        """Number of iterations done."""
        return self.model.iteration

    training_iteration = iteration

    @property
    def workers(self) -> Workers:
        """The workers."""
        return Workers(self)

    @property
    def episodes_so_far(self) -> int:
        """Number of episodes of training."""
        return self.model.num_episodes

    @property
    def reward_list(self) -> list[float]:
        """Mean returns of the policy in the last iterations that evaluated; RLlib keeps all of them."""
        return list(self._counts.rewards)

    # --- Iterations

    def step(self) -> dict[str, Any]:
        """Run one iteration. Returns the result of `train`, before callbacks."""
        start, model = time.perf_counter(), self.model
        self._evaluate_sometimes()
        steps, episodes = model.num_timesteps, model.num_episodes
        model.learn(1, reset_num_timesteps=False)
        spent = Spent(model.num_timesteps - steps, model.num_episodes - episodes, time.perf_counter() - start)
        counts = self._counts
        self._counts = counts._replace(timesteps=counts.timesteps + spent.timesteps, seconds=counts.seconds + spent.seconds)
        interval = self.config.evaluation_interval
        evaluation = self.evaluate() if interval and model.iteration % interval == 0 else {}
        since = Since(
            self._counts.timesteps - self._restored.timesteps,
            model.iteration - self._iteration_restored,
            self._counts.seconds - self._restored.seconds,
        )
        return train_result(model, self._counts, spent, since) | evaluation | {"config": self.config.to_dict()}

    def _evaluate_sometimes(self) -> None:
        """Run episodes of the unperturbed policy: each episode that RLlib begins is one with probability `eval_prob`.

        The first iteration runs at least one.
        """
        stream = np.random.SeedSequence(self.model.seed, spawn_key=(_STREAM, self.model.iteration))
        generator = np.random.Generator(np.random.PCG64(stream))
        n_episodes = int(generator.negative_binomial(self.model.n_delta, 1.0 - self.config.eval_prob))
        if n_episodes == 0 and self._counts.rewards:
            return
        rollouts = self.model.evaluate(max(n_episodes, 1), seed=int(generator.integers(2**31)))
        reward = float((rollouts.returns - abs(self.config.offset) * rollouts.lengths).mean())
        rewards = (*self._counts.rewards, reward)[-self.config.report_length :]
        self._counts = self._counts._replace(rewards=rewards, length=float(rollouts.lengths.mean()))

    def evaluate(self, *_: Any, **__: Any) -> dict[str, Any]:
        """Run `evaluation_duration` episodes of the policy, the same episodes at each call. The result is under "evaluation"."""
        call(self.callbacks, "on_evaluate_start", algorithm=self)
        found = evaluation_result(self.model.evaluate(self.config.evaluation_duration))
        call(self.callbacks, "on_evaluate_end", algorithm=self, evaluation_metrics=found)
        return found

    def log_result(self, result: dict[str, Any]) -> None:
        """Pass a result to the callbacks, which may change it."""
        call(self.callbacks, "on_train_result", algorithm=self, result=result)

    # --- The policy

    def compute_single_action(self, observation: Any, *args: Any, full_fetch: bool = False, **kwargs: Any) -> Any:
        """Return the action for an observation; with `full_fetch`, (action, [], {})."""
        found = self.policy.compute_single_action(observation)
        return found if full_fetch else found[0]

    def compute_actions(self, observations: Mapping[Any, Any], *args: Any, **kwargs: Any) -> dict[Any, Any]:
        """Return the actions for a dict of observations, by its keys."""
        return {key: self.compute_single_action(observation) for key, observation in observations.items()}

    @user_facing
    def get_policy(self, policy_id: str = POLICY_ID) -> Policy:
        """Return the policy. Its only id is "default_policy"."""
        if policy_id != POLICY_ID:
            raise ValueError(f"ARS has no policy {policy_id!r}; it has {POLICY_ID!r}")
        return self.policy

    def get_weights(self, policies: Any = None) -> dict[str, dict[str, FloatArray]]:
        """Return the weights by layer, float64, under "default_policy"."""
        return {POLICY_ID: self.get_policy().get_weights()}

    @user_facing
    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Set weights that `get_weights` returned; under "default_policy" may also be flat weights."""
        self.get_policy().set_weights(weights[POLICY_ID])

    # --- Files

    @user_facing
    def save_checkpoint(self, checkpoint_dir: str | os.PathLike[str]) -> str:
        """Write the run into this folder. Returns its path."""
        folder = Path(checkpoint_dir)
        stored = stored_counts(self.iteration, self._counts, self.config)  # raises before a file is written
        self.model.save(without_link(folder / MODEL))
        write_counts(folder, stored)
        return os.fspath(checkpoint_dir)

    save_into = save_checkpoint

    @user_facing
    def load_checkpoint(self, checkpoint: Any) -> None:
        """Continue the run in a folder, as `restore` does."""
        folder, settings = folder_of(checkpoint), self.config
        is_stored = isinstance(settings, ConfigToRestore) and settings.is_stored
        settings = settings.kept if isinstance(settings, ConfigToRestore) else settings
        iteration, counts = read_counts(folder)
        arguments = settings.arguments()
        changed = {name: arguments[name] for name in _CHANGEABLE}
        n_workers = None if self.model.is_compiled else settings.num_rollout_workers
        model = fastars.ars.ARS.load(file_in(folder / MODEL), env=arguments["env"], n_workers=n_workers, **changed)
        if is_stored:  # `changed` comes from the file, too
            model.run = limited_run(model.run, str(folder), remedy="config=... allows that")
        try:
            if iteration != model.iteration:
                raise CheckpointError(f"{folder}: algorithm.zip and {MODEL} are not of the same iteration")
            self._refuse_other_policy(folder, model)
        except ValueError:
            model.close()
            raise
        self.model.close()
        self._counts, self.config = counts, settings.copy(copy_frozen=True)
        self.hold(model)
        self._restored, self._iteration_restored = counts, model.iteration
        call(self.callbacks, "on_checkpoint_loaded", algorithm=self)

    def _refuse_other_policy(self, folder: Path, model: fastars.ars.ARS) -> None:
        stored, own = model.config, self.model.config
        if model.theta.shape != self.model.theta.shape or stored.policy != own.policy:
            raise ValueError(
                f"{name_of(folder)}: its policy has {model.n_weights} weights, this algorithm's has {self.model.n_weights}"
            )
        if stored.normalize_observations != own.normalize_observations:
            found = self.config.observation_filter
            raise ValueError(f"{name_of(folder)}: observation_filter must be the filter of the run, got {found!r}")

    def cleanup(self) -> None:
        """End worker processes."""
        self.model.close()

    def __repr__(self) -> str:
        return f"ARS({vars(self).get('model')!r})"

"""RLlib's `ARS`: `train()` runs one iteration and returns a result with RLlib's keys."""

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
from fastars.files.opening import file_in, folder_in, without_link
from fastars.rllib.checkpoint import (
    MODEL,
    ConfigToRestore,
    Counts,
    SavedFolder,
    folder_of,
    path_in,
    read_config,
    read_counts,
    stored_counts,
    write_counts,
)
from fastars.rllib.config import ARSConfig
from fastars.rllib.policy import POLICY_ID, Policy
from fastars.rllib.results import Spent, evaluation_result, train_result
from fastars.training.file_limits import limited_run
from fastars.training.stored_env import named

_CHANGEABLE = ("learning_rate", "delta_std", "n_delta", "n_top", "alive_bonus_offset")  # of a run that `restore` continues
_STREAM = 0x52  # of episodes that evaluate, apart from the episodes of training


class ARS:
    """RLlib's ARS over `fastars.ARS`, without Ray.

    Four faults of RLlib are corrected. Workers draw different directions even with a seed. `episode_reward_mean` is never NaN: the
    first iteration always evaluates, and later iterations keep the last mean. Computing an action does not change the filter.
    `restore` continues a run bit for bit.

    Parameters
    ----------
    config : ARSConfig or dict
        Settings with RLlib's keys.
    env : str, callable or class, optional
        Instead of the one in `config`.

    Attributes
    ----------
    model : fastars.ARS
        The model that is trained.
    iteration : int
        Number of iterations done.

    Raises
    ------
    ValueError, TypeError
        For settings that `ARSConfig.validate` refuses, and as for `fastars.ARS`.
    """

    @user_facing
    def __init__(self, config: ARSConfig | Mapping[str, Any] | None = None, env: Any = None, **_: Any) -> None:
        settings = config.copy() if isinstance(config, ARSConfig) else ARSConfig().update_from_dict(config or {})
        if env is not None:
            settings.env = env
        arguments = settings.arguments()
        self._settings = settings
        self.model = fastars.ars.ARS(**arguments)
        if not self.model.is_compiled and settings.num_rollout_workers > 1:
            self.model.close()
            arguments["seed"] = self.model.seed
            self.model = fastars.ars.ARS(**arguments, n_workers=settings.num_rollout_workers)
        self._counts = Counts()

    def __copy__(self) -> ARS:
        """Return an algorithm with a copy of the model; training one does not move the other."""
        copied = type(self).__new__(type(self))
        vars(copied).update(vars(self), model=copy.copy(self.model), _settings=self._settings.copy())
        return copied

    @classmethod
    def get_default_config(cls) -> ARSConfig:
        """Return the default settings."""
        return ARSConfig(cls)

    @property
    def config(self) -> dict[str, Any]:
        """The settings, as a new dict."""
        return self._settings.to_dict()

    @property
    def iteration(self) -> int:
        """Number of iterations done."""
        return self.model.iteration

    training_iteration = iteration

    # --- Iterations

    def train(self) -> dict[str, Any]:
        """Run one iteration.

        Returns
        -------
        dict
            `episode_reward_mean`, `episode_len_mean` (also under `sampler_results`) of the unperturbed policy;
            `timesteps_this_iter`, `timesteps_total`, `episodes_total`, `training_iteration`, `time_this_iter_s`, `time_total_s`,
            `done`, `config`; `evaluation` in every `evaluation_interval`-th iteration; and `info` with `weights_norm` and
            `grad_norm` (sums of squares), `weights_std`, `update_ratio` (infinite if the weights were 0), `episodes_this_iter`,
            `episodes_so_far`.
        """
        start, model = time.perf_counter(), self.model
        self._evaluate_sometimes()
        steps, episodes = model.num_timesteps, model.num_episodes
        model.learn(1, reset_num_timesteps=False)
        spent = Spent(model.num_timesteps - steps, model.num_episodes - episodes, time.perf_counter() - start)
        counts = self._counts
        self._counts = counts._replace(timesteps=counts.timesteps + spent.timesteps, seconds=counts.seconds + spent.seconds)
        interval = self._settings.evaluation_interval
        evaluation = self.evaluate() if interval and model.iteration % interval == 0 else {}
        return train_result(model, self._counts, spent, self.config, evaluation)

    def _evaluate_sometimes(self) -> None:
        """Run episodes of the unperturbed policy: each episode that RLlib begins is one with probability `eval_prob`.

        The first iteration runs at least one.
        """
        stream = np.random.SeedSequence(self.model.seed, spawn_key=(_STREAM, self.model.iteration))
        generator = np.random.Generator(np.random.PCG64(stream))
        n_episodes = int(generator.negative_binomial(self.model.n_delta, 1.0 - self._settings.eval_prob))
        if n_episodes == 0 and self._counts.rewards:
            return
        rollouts = self.model.evaluate(max(n_episodes, 1), seed=int(generator.integers(2**31)))
        reward = float((rollouts.returns - abs(self._settings.offset) * rollouts.lengths).mean())
        rewards = (*self._counts.rewards, reward)[-self._settings.report_length :]
        self._counts = self._counts._replace(rewards=rewards, length=float(rollouts.lengths.mean()))

    def evaluate(self) -> dict[str, Any]:
        """Run `evaluation_duration` episodes of the policy, the same episodes at each call. The result is under "evaluation"."""
        return evaluation_result(self.model.evaluate(self._settings.evaluation_duration))

    # --- The policy

    def compute_single_action(self, observation: Any, *args: Any, full_fetch: bool = False, **kwargs: Any) -> Any:
        """Return the action for an observation; with `full_fetch`, (action, [], {})."""
        action = self.model.predict(observation)[0][()]  # a number for a Discrete action, as in RLlib
        return (action, [], {}) if full_fetch else action

    @user_facing
    def get_policy(self, policy_id: str = POLICY_ID) -> Policy:
        """Return the policy. Its only id is "default_policy"."""
        if policy_id != POLICY_ID:
            raise ValueError(f"ARS has no policy {policy_id!r}; it has {POLICY_ID!r}")
        return Policy(self.model)

    def get_weights(self, policies: Any = None) -> dict[str, FloatArray]:
        """Return {"default_policy": flat weights}, float64 (num_params,)."""
        return {POLICY_ID: self.get_policy().get_flat_weights()}

    @user_facing
    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Set weights that `get_weights` returned."""
        self.get_policy().set_flat_weights(weights[POLICY_ID])

    # --- Files

    @user_facing
    def save(self, checkpoint_dir: str | os.PathLike[str] | None = None) -> SavedFolder:
        """Write the run into a new folder in `checkpoint_dir` (default: the current folder).

        Returns
        -------
        str
            The path of the new folder, which can also be read as `checkpoint.path`, as in Ray. `restore` continues it bit for bit,
            `from_checkpoint` makes the algorithm anew, and `fastars.ARS.load` reads the `model.zip` in it.
        """
        folder = folder_in(path_in(checkpoint_dir, self.iteration))
        self.save_into(folder)
        return SavedFolder(folder)

    @user_facing
    def save_into(self, folder: str | os.PathLike[str]) -> None:
        """Write the run into this folder."""
        folder = Path(folder)
        stored = stored_counts(self.iteration, self._counts, self._settings)  # raises before a file is written
        self.model.save(without_link(folder / MODEL))
        write_counts(folder, stored)

    @classmethod
    @user_facing
    def from_checkpoint(cls, checkpoint: Any, config: ARSConfig | Mapping[str, Any] | None = None) -> ARS:
        """Make the algorithm that wrote a checkpoint; it continues the run bit for bit.

        Parameters
        ----------
        checkpoint : str, path, or the result of `save`
            The folder.
        config : ARSConfig or dict, optional
            Settings of the algorithm. Needed if a file can't hold them: if the environment is a function or a class. The settings
            in the folder have limits (`SECURITY.md`); the ones given here have none.

        Raises
        ------
        FileNotFoundError, fastars.CheckpointError
            If the folder does not hold a checkpoint.
        ValueError
            For settings that are missing, and as for `restore`.
        """
        folder = folder_of(checkpoint)
        if config is None:
            settings = read_config(folder)
            with named(folder, "an algorithm"):
                algorithm = cls(ConfigToRestore(settings, is_stored=True))
        else:
            settings = config.copy() if isinstance(config, ARSConfig) else ARSConfig().update_from_dict(config)
            algorithm = cls(ConfigToRestore(settings, is_stored=False))
        try:
            algorithm.restore(folder)
        except BaseException:
            algorithm.stop()
            raise
        return algorithm

    @user_facing
    def restore(self, checkpoint_path: Any) -> None:
        """Continue the run in a folder that `save` wrote.

        Step size, noise, number of episodes and offset are the settings of this algorithm, so that Tune can change them between a
        checkpoint and its continuation. Seed and noise table belong to the run.

        Raises
        ------
        fastars.CheckpointError
            If the folder does not hold a checkpoint; the algorithm is then unchanged.
        ValueError
            If the run has another policy, filter or environment.
        """
        folder, settings = folder_of(checkpoint_path), self._settings
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
        self.model, self._counts, self._settings = model, counts, settings

    def _refuse_other_policy(self, folder: Path, model: fastars.ars.ARS) -> None:
        stored, own = model.config, self.model.config
        if model.theta.shape != self.model.theta.shape or stored.policy != own.policy:
            raise ValueError(
                f"{name_of(folder)}: its policy has {model.n_weights} weights, this algorithm's has {self.model.n_weights}"
            )
        if stored.normalize_observations != own.normalize_observations:
            found = self._settings.observation_filter
            raise ValueError(f"{name_of(folder)}: observation_filter must be the filter of the run, got {found!r}")

    def stop(self) -> None:
        """End worker processes."""
        self.model.close()

    def __repr__(self) -> str:
        return f"ARS({self.model!r})"

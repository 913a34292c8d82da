"""RLlib's `ARS`: an algorithm by itself, and a trial of Ray Tune."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from fastars._imports import when_imported
from fastars._validate import user_facing
from fastars.files.opening import folder_in
from fastars.rllib.algorithm import Algorithm
from fastars.rllib.checkpoint import ConfigToRestore, SavedFolder, folder_of, path_in, read_config
from fastars.rllib.config import ARSConfig
from fastars.training.stored_env import named

_OF_TUNE = "__trial_info__"  # the key that every version of Ray Tune adds to the config of a trial


class ARS(Algorithm):
    """RLlib's ARS over `fastars.ARS`, without Ray.

    Four faults of RLlib are corrected. Workers draw different directions even with a seed. `episode_reward_mean` is never NaN: the
    first iteration always evaluates, and later iterations keep the last mean. Computing an action does not change the filter.
    `restore` continues a run bit for bit.

    In a program that imports `ray.tune`, the class is a Trainable: `ray.tune.Tuner(ARS, param_space=config)`.

    Parameters
    ----------
    config : ARSConfig or dict
        Settings with RLlib's keys.
    env : str, callable or class, optional
        Instead of the one in `config`.

    Attributes
    ----------
    config : ARSConfig
        The settings, frozen.
    model : fastars.ARS
        The model that is trained.
    iteration : int
        Number of iterations done.

    Raises
    ------
    ValueError, TypeError
        For settings that `ARSConfig.validate` refuses, and as for `fastars.ARS`.
    """

    _is_trial = False

    @user_facing
    def __init__(
        self, config: ARSConfig | Mapping[str, Any] | None = None, env: Any = None, logger_creator: Any = None, **of_tune: Any
    ) -> None:
        if isinstance(config, Mapping) and _OF_TUNE in config:
            self._is_trial = True
            of_tune |= {} if logger_creator is None else {"logger_creator": logger_creator}
            super().__init__(config, **of_tune)  # type: ignore[call-arg]  # of Trainable, which calls `setup`
            return
        if env is not None:
            config = config.copy(copy_frozen=False) if isinstance(config, ARSConfig) else dict(config or {})
            config["env"] = env
        self.setup(config)

    def train(self) -> dict[str, Any]:
        """Run one iteration.

        Returns
        -------
        dict
            `episode_reward_mean`, `episode_len_mean` (also under `sampler_results`) of the unperturbed policy;
            `timesteps_this_iter`, `timesteps_total`, `episodes_total`, `training_iteration`, `time_this_iter_s`, `time_total_s`,
            and these since `restore`; `done`, `config`; `evaluation` in every `evaluation_interval`-th iteration; and `info` with
            `weights_norm` and `grad_norm` (sums of squares), `weights_std`, `update_ratio` (infinite if the weights were 0),
            `episodes_this_iter`, `episodes_so_far`.
        """
        if self._is_trial:
            return super().train()  # type: ignore[misc]  # of Trainable, which calls `step`
        result = self.step()
        self.log_result(result)
        return result

    def get_auto_filled_metrics(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return what Tune adds to a result."""
        filled: dict[str, Any] = super().get_auto_filled_metrics(*args, **kwargs)  # type: ignore[misc]
        return {**filled, "config": self.config.to_dict()} if "config" in filled else filled

    @user_facing
    def save(self, checkpoint_dir: str | os.PathLike[str] | None = None) -> Any:
        """Write the run into a new folder in `checkpoint_dir` (default: the current folder).

        Returns
        -------
        str
            The path of the new folder, which can also be read as `checkpoint.path`, as in Ray. `restore` continues it bit for bit,
            `from_checkpoint` makes the algorithm anew, and `fastars.ARS.load` reads the `model.zip` in it.
        """
        if self._is_trial:
            return super().save(checkpoint_dir)  # type: ignore[misc]  # of Trainable, which calls `save_checkpoint`
        folder = folder_in(path_in(checkpoint_dir, self.iteration))
        self.save_checkpoint(folder)
        return SavedFolder(folder)

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
        if self._is_trial:
            super().restore(checkpoint_path)  # type: ignore[misc]  # of Trainable, which calls `load_checkpoint`
        else:
            self.load_checkpoint(checkpoint_path)

    @classmethod
    @user_facing
    def from_checkpoint(cls, checkpoint: Any, config: ARSConfig | Mapping[str, Any] | None = None, **_: Any) -> ARS:
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
            settings = config if isinstance(config, ARSConfig) else ARSConfig().update_from_dict(config)
            algorithm = cls(ConfigToRestore(settings, is_stored=False))
        try:
            algorithm.restore(folder)
        except BaseException:
            algorithm.stop()
            raise
        return algorithm

    @property
    def trial_id(self) -> str:
        """Name of the trial of Tune; "default" without Tune."""
        return str(super().trial_id) if self._is_trial else "default"  # type: ignore[misc]

    @property
    def logdir(self) -> str:
        """Folder of the trial of Tune; without Tune, the current folder, into which `save` writes."""
        return str(super().logdir) if self._is_trial else os.getcwd()  # type: ignore[misc]

    def __repr__(self) -> str:
        return type(self).__name__ if self._is_trial else super().__repr__()  # Ray puts it before each line of a trial

    def stop(self) -> None:
        """End worker processes."""
        if self._is_trial:
            super().stop()  # type: ignore[misc]  # of Trainable, which calls `cleanup`
        else:
            self.cleanup()


def _become_trainable() -> None:
    """Derive ARS from Tune's Trainable, and make it known to Tune by RLlib's name; let Tune take an ARSConfig as `param_space`."""
    tune, running = import_module("ray.tune"), import_module("ray.tune.tune")
    if not isinstance(tune.Trainable, type):  # Sphinx imitates packages that are missing
        return
    ARS.__bases__ = (Algorithm, tune.Trainable)
    tune.register_trainable("ARS", ARS)
    if (config_class := getattr(running, "_Config", None)) is not None:
        config_class.register(ARSConfig)


when_imported("ray.tune", _become_trainable)

"""`fastars.ARS` for Ray Tune. Needs `fastars[ray]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastars._imports import need
from fastars._validate import positive_int
from fastars.ars import ARS
from fastars.training.model_file import CHANGEABLE

_tune = need("ray.tune", "ray", "fastars.tune")
_MODEL = "model.zip"


class Trainable(_tune.Trainable):  # type: ignore[name-defined]
    """ARS as a Trainable: `ray.tune.Tuner(Trainable, param_space={"env": "CartPole-v1", "delta_std": ...})`.

    Parameters of a trial are the arguments of `ARS`, and the ones below. Its results are the rows of the log, such as
    "rollout/ep_rew_mean", and the counts of Tune. A trial that continues from a checkpoint has the same results, bit for bit, as a
    trial that was never stopped.

    Parameters
    ----------
    policy : str
        Default: "LinearPolicy".
    n_threads : int
        Threads of a trial, for which Tune reserves the same number of CPUs. Default: 1.
    steps_per_result : int
        Minimum number of environment steps between two results. Tune needs about 10 ms for each result. Default: 1, which is one
        iteration.
    learning_rate, delta_std : float
        Numbers, not schedules: a trial does not know its end, so a schedule would get the progress to the next result.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Make the model of a trial.

        Raises
        ------
        ValueError, TypeError
            As for `ARS`, and if `steps_per_result` is not an integer of at least 1.
        """
        steps = positive_int("steps_per_result", config.get("steps_per_result", 1))
        self.model, self._steps = ARS(**_arguments(config)), steps

    def step(self) -> dict[str, Any]:
        """Train until the next result.

        Returns
        -------
        dict
            The last row of the log, and the numbers of steps and episodes since the last result.
        """
        steps, episodes = self.model.num_timesteps, self.model.num_episodes
        self.model.learn(self._steps, reset_num_timesteps=False)
        done = {
            "timesteps_this_iter": self.model.num_timesteps - steps,
            "episodes_this_iter": self.model.num_episodes - episodes,
        }
        return {**self.model.record, **done}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the trial into a folder of Tune."""
        self.model.save(Path(checkpoint_dir) / _MODEL)

    def load_checkpoint(self, checkpoint: str) -> None:
        """Continue a trial, or another trial with the parameters of this one, as population-based training does.

        Raises
        ------
        ValueError
            If a parameter that can't change during a run differs.
        """
        own = self.model.config.arguments()
        changed = _changeable(_arguments(self.config), own)
        model = ARS.load(Path(checkpoint) / _MODEL, env=self.config.get("env"), **changed)
        try:
            _refuse_other_settings(model.config.arguments(), own)
        except ValueError:
            model.close()
            raise
        self.model.close()
        self.model = model

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another trial in this process."""
        before = self.model
        self.setup(new_config)
        before.close()
        return True

    def cleanup(self) -> None:
        """End worker processes."""
        self.model.close()

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> Any:
        """Return a request for one CPU for each thread or worker process of a trial."""
        return _tune.PlacementGroupFactory([{"CPU": max(config.get("n_threads") or 1, config.get("n_workers") or 1)}])


def _arguments(config: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `ARS` among the parameters of a trial."""
    arguments = {"policy": "LinearPolicy", **config, "n_threads": config.get("n_threads") or 1}
    arguments.pop("steps_per_result", None)
    return arguments


def _changeable(arguments: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that a trial changes in a run: its arguments, and the settings that follow from them.

    `n_top`, for example, follows from `n_delta`.
    """
    given = {name: value for name, value in arguments.items() if value is not None or name not in own}
    of_run = {"seed", "weighting"} - given.keys()  # a seed that was not given comes from the checkpoint
    if isinstance(given.get("weighting"), str):
        of_run.add("weighting")  # the method in the checkpoint has settings, which a name alone would reset
    return {name: value for name, value in {**own, **given}.items() if name in CHANGEABLE and name not in of_run}


def _refuse_other_settings(stored: dict[str, Any], own: dict[str, Any]) -> None:
    """Raise a ValueError for a setting that can't change during a run.

    Final settings are compared: arguments may be given as a list or a tuple, by a preset, by a variant, or by default.
    """
    for name, value in own.items():
        if (name not in CHANGEABLE or name == "weighting") and stored[name] != value:
            raise ValueError(f"{name} can't change during a run: {stored[name]!r} in the checkpoint, {value!r} in the trial")

"""`fastars.rllib.ARS` for Ray Tune. Needs `fastars[ray]`."""

from __future__ import annotations

from typing import Any

from fastars._imports import need
from fastars.rllib.algorithm import ARS

_tune = need("ray.tune", "ray", "fastars.rllib.tune")
_COUNTED_BY_TUNE = (
    "training_iteration",
    "time_this_iter_s",
    "time_total_s",
    "timesteps_total",
    "episodes_total",
    "date",
    "timestamp",
    "pid",
    "hostname",
    "config",
)


class Trainable(_tune.Trainable):  # type: ignore[name-defined]
    """RLlib's ARS as a Trainable: `ray.tune.Tuner(Trainable, param_space=config.to_dict())`.

    A checkpoint of Tune is a folder that `ARS.save_into` writes.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Make the algorithm of a trial."""
        self.algorithm = ARS(config)

    def step(self) -> dict[str, Any]:
        """Run one iteration. The result leaves out what Tune counts itself."""
        result = self.algorithm.train()
        return {name: value for name, value in result.items() if name not in _COUNTED_BY_TUNE}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the trial into a folder of Tune."""
        self.algorithm.save_into(checkpoint_dir)

    def load_checkpoint(self, checkpoint: str) -> None:
        """Continue a trial from a folder of Tune."""
        self.algorithm.restore(checkpoint)

    def cleanup(self) -> None:
        """End worker processes."""
        self.algorithm.stop()


def register(name: str = "ARS") -> None:
    """Make a name known to `ray.tune.Tuner(name, ...)`; RLlib's algorithm was known as "ARS"."""
    _tune.register_trainable(name, Trainable)

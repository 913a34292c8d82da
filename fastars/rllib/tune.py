"""`fastars.rllib.ARS` for Ray Tune. Needs `fastars[ray]`.

`ray.tune.Tuner(ARS, param_space=config.to_dict())` and `Tuner("ARS", ...)` need nothing of this module: `ARS` becomes a Trainable
when a program imports `ray.tune`. A checkpoint of Tune is a folder that `ARS.save_checkpoint` writes.
"""

from __future__ import annotations

from fastars._imports import need
from fastars.rllib.trial import ARS

_tune = need("ray.tune", "ray", "fastars.rllib.tune")

Trainable = ARS  # its name in fastars until now


def register(name: str = "ARS") -> None:
    """Make a name known to `ray.tune.Tuner(name, ...)`. The name "ARS" is known without this."""
    _tune.register_trainable(name, ARS)

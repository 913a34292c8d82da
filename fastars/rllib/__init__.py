"""RLlib's `ARSConfig` and `ARS`, which Ray has removed, and the functions that other code took from RLlib.

- `ARSConfig`, `ARS`, `DefaultCallbacks`, `EnvContext` (`config`, `trial`, `callbacks`, `environments`): configs and `train()`
  results as in Ray 2.6.3, trained by `fastars.ARS`.
- `batched_weighted_sum`, `compute_ranks`, `compute_centered_ranks` (`gradients`), `create_shared_noise`, `SharedNoiseTable`
  (`noise_table`), `SGD`, `Adam` (`optimizers`): RLlib's signatures over fastars' kernels.
- In a program that imports `ray.tune`, `ARS` is a Trainable, and "ARS" a name that Tune knows. All else needs no Ray.
"""

from fastars.rllib.callbacks import DefaultCallbacks
from fastars.rllib.config import ARSConfig
from fastars.rllib.environments import EnvContext
from fastars.rllib.gradients import batched_weighted_sum, compute_centered_ranks, compute_ranks
from fastars.rllib.noise_table import SharedNoiseTable, create_shared_noise
from fastars.rllib.optimizers import SGD, Adam
from fastars.rllib.trial import ARS

ARSConfig.default_algo_class = ARS
ARSTrainer = ARS  # its name until Ray 2.0, as is the next one
DEFAULT_CONFIG = ARSConfig().to_dict()

__all__ = [
    "ARS",
    "DEFAULT_CONFIG",
    "SGD",
    "ARSConfig",
    "ARSTrainer",
    "Adam",
    "DefaultCallbacks",
    "EnvContext",
    "SharedNoiseTable",
    "batched_weighted_sum",
    "compute_centered_ranks",
    "compute_ranks",
    "create_shared_noise",
]

"""RLlib's `ARSConfig` and `ARS`, which Ray has removed, and the functions that other code took from RLlib.

- `ARSConfig`, `ARS` (`config`, `algorithm`): configs and `train()` results as in Ray 2.8, trained by `fastars.ARS`.
- `batched_weighted_sum`, `compute_ranks`, `compute_centered_ranks` (`gradients`), `create_shared_noise`, `SharedNoiseTable`
  (`noise_table`), `SGD`, `Adam` (`optimizers`): RLlib's signatures over fastars' kernels.
- `tune.Trainable`, for `ray.tune`, needs `fastars[ray]`. All else needs no Ray.
"""

from fastars.rllib.algorithm import ARS
from fastars.rllib.config import ARSConfig
from fastars.rllib.gradients import batched_weighted_sum, compute_centered_ranks, compute_ranks
from fastars.rllib.noise_table import SharedNoiseTable, create_shared_noise
from fastars.rllib.optimizers import SGD, Adam

ARSConfig.default_algo_class = ARS

__all__ = [
    "ARS",
    "SGD",
    "ARSConfig",
    "Adam",
    "SharedNoiseTable",
    "batched_weighted_sum",
    "compute_centered_ranks",
    "compute_ranks",
    "create_shared_noise",
]

"""RLlib's surface: its `ARSConfig` and `ARS`, which Ray has removed, and the functions that other code took from it.

- `ARSConfig`, `ARS` (`config`, `algorithm`): configs and `train()` results as in Ray 2.8, trained by `fastars.ARS`.
- `batched_weighted_sum`, `SharedNoiseTable`, `compute_ranks`, `SGD`, ... (`helpers`): RLlib's signatures over fastars' kernels.
- `tune.Trainable`, for `ray.tune`; needs `fastars[ray]`. The rest needs no Ray.
"""

from fastars.rllib.algorithm import ARS
from fastars.rllib.config import ARSConfig
from fastars.rllib.helpers import (
    SGD,
    Adam,
    SharedNoiseTable,
    batched_weighted_sum,
    compute_centered_ranks,
    compute_ranks,
    create_shared_noise,
)

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

"""Compiled functions: scalars, arrays and NamedTuples of them in, the same out.

Each has a twin of the same name and arguments in `fastars.reference`. They release the GIL, can be called from your own `@njit`
code, and trust their caller: shapes, dtypes and ranges are checked at the border (`fastars.ars`, `fastars.samplers`).
`docs/kernels.md` describes all of them, and how long a call takes.
"""

from fastars._compiled.structs import (
    Argmax,
    Choices,
    Clip,
    Filter,
    Identity,
    LinearPolicy,
    MlpPolicy,
    Moments,
    Relu,
    Rollouts,
    RolloutSpec,
    Signs,
    Squash,
    Swish,
    Tanh,
    Unclipped,
    identity_filter,
)
from fastars.kernels.bargaining import fairgrad, nash_mtl
from fastars.kernels.conflict_averse import cagrad
from fastars.kernels.db_mtl import db_mtl
from fastars.kernels.diagnostics import Diagnostics, TaskDiagnostics, diagnostics, task_diagnostics
from fastars.kernels.direction_sums import direction_sums, weighted_sum, weighted_sums
from fastars.kernels.directions import direction_squares, square_sums, sum_weights, task_differences, task_gradients
from fastars.kernels.filter import filter_from_moments, merge_moments
from fastars.kernels.gradients import debiased_gram, gradient_norms, gram
from fastars.kernels.gradnorm import bounded_weights, gradnorm_closed, gradnorm_gradient, gradnorm_log, gradnorm_softmax
from fastars.kernels.heteroscedasticity import rank_correlation, slope_test, spread_test
from fastars.kernels.noise import (
    NOISE_BLOCK,
    NOISE_VERSION,
    episode_seeds,
    fill_blocks,
    fill_noise,
    missing_blocks,
    noise,
    noise_slices,
    noise_table,
    perturb,
    sample_indices,
    write_candidates,
)
from fastars.kernels.norms import Info, info, norm, norm_sq
from fastars.kernels.optimizers import adam_step, sgd_step
from fastars.kernels.policy import action_scores, batch_action_scores, fill_actions
from fastars.kernels.quadratic import dual_proj, mgda, upgrad
from fastars.kernels.returns import candidate_returns, centered_ranks, count_outcomes, finite_pairs, penalized_returns, sign_returns
from fastars.kernels.rollout import antithetic_rollouts, rollouts
from fastars.kernels.selection import direction_weights, return_std, step_weights, top_directions
from fastars.kernels.spectral import aligned_mtl, config, imtl_g
from fastars.kernels.surgery import pcgrad
from fastars.kernels.symmetric import positive_gram

__all__ = [
    "NOISE_BLOCK",
    "NOISE_VERSION",
    "Argmax",
    "Choices",
    "Clip",
    "Diagnostics",
    "Filter",
    "Identity",
    "Info",
    "LinearPolicy",
    "MlpPolicy",
    "Moments",
    "Relu",
    "RolloutSpec",
    "Rollouts",
    "Signs",
    "Squash",
    "Swish",
    "Tanh",
    "TaskDiagnostics",
    "Unclipped",
    "action_scores",
    "adam_step",
    "aligned_mtl",
    "antithetic_rollouts",
    "batch_action_scores",
    "bounded_weights",
    "cagrad",
    "candidate_returns",
    "centered_ranks",
    "config",
    "count_outcomes",
    "db_mtl",
    "debiased_gram",
    "diagnostics",
    "direction_squares",
    "direction_sums",
    "direction_weights",
    "dual_proj",
    "episode_seeds",
    "fairgrad",
    "fill_actions",
    "fill_blocks",
    "fill_noise",
    "filter_from_moments",
    "finite_pairs",
    "gradient_norms",
    "gradnorm_closed",
    "gradnorm_gradient",
    "gradnorm_log",
    "gradnorm_softmax",
    "gram",
    "identity_filter",
    "imtl_g",
    "info",
    "merge_moments",
    "mgda",
    "missing_blocks",
    "nash_mtl",
    "noise",
    "noise_slices",
    "noise_table",
    "norm",
    "norm_sq",
    "pcgrad",
    "penalized_returns",
    "perturb",
    "positive_gram",
    "rank_correlation",
    "return_std",
    "rollouts",
    "sample_indices",
    "sgd_step",
    "sign_returns",
    "slope_test",
    "spread_test",
    "square_sums",
    "step_weights",
    "sum_weights",
    "task_diagnostics",
    "task_differences",
    "task_gradients",
    "top_directions",
    "upgrad",
    "weighted_sum",
    "weighted_sums",
    "write_candidates",
]

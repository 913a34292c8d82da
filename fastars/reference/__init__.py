"""The whole algorithm in plain NumPy, to be read beside the paper: file by file and name by name the twin of `fastars.kernels`.

It imports nothing from fastars, so that it does not share errors with the kernels. Sums have the order of the kernels. So the two
agree to the last bit wherever both only add, subtract, multiply, divide and take square roots.
"""

from .bargaining import fairgrad, nash_mtl
from .conflict_averse import cagrad
from .db_mtl import db_mtl
from .diagnostics import Diagnostics, TaskDiagnostics, diagnostics, task_diagnostics
from .direction_sums import direction_sums, weighted_sum, weighted_sums
from .directions import direction_squares, square_sums, sum_weights, task_differences, task_gradients
from .filter import filter_from_moments, merge_moments
from .gradients import debiased_gram, gradient_norms, gram
from .gradnorm import bounded_weights, gradnorm_closed, gradnorm_gradient, gradnorm_log, gradnorm_softmax
from .heteroscedasticity import rank_correlation, slope_test, spread_test
from .noise import (
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
from .norms import Info, info, norm, norm_sq
from .optimizers import adam_step, sgd_step
from .policy import action_scores, batch_action_scores, fill_actions
from .quadratic import dual_proj, mgda, upgrad
from .returns import candidate_returns, centered_ranks, count_outcomes, finite_pairs, penalized_returns, sign_returns
from .rollout import Moments, Rollouts, antithetic_rollouts, rollouts
from .selection import direction_weights, return_std, step_weights, top_directions
from .spectral import aligned_mtl, config, imtl_g
from .surgery import pcgrad
from .symmetric import positive_gram

__all__ = [
    "NOISE_BLOCK",
    "NOISE_VERSION",
    "Diagnostics",
    "Info",
    "Moments",
    "Rollouts",
    "TaskDiagnostics",
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

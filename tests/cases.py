"""The one table of cases: every public kernel beside its twin, with inputs by size and how closely the two must agree.

`test_twins.py` asserts the table, the benchmarks time it. A new kernel gets one row here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastars import kernels, reference
from fastars._compiled.structs import (
    FAILED,
    NONFINITE,
    UNSTABLE,
    Argmax,
    Choices,
    Clip,
    Filter,
    LinearPolicy,
    MlpPolicy,
    Moments,
    RolloutSpec,
)
from fastars.envs.classic.cartpole import CartPole
from fastars.kernels.policy_layout import n_weights

SIZES = ("small", "medium", "large")
SEED = np.uint64(7)
N_OBS, N_ACT = 17, 6  # of HalfCheetah
CARTPOLE = RolloutSpec(CartPole(), LinearPolicy(True), Argmax(), (np.float32(-np.inf),) * 2, (np.float32(np.inf),) * 2, 500)

_N_DELTA = {"small": 8, "medium": 64, "large": 256}
_N_WEIGHTS = {"small": 10, "medium": 5_000, "large": 500_000}
_N_NOISE = {"small": 100, "medium": 200_000, "large": 25_000_000}
_N_ROLLOUT_DELTA = {"small": 2, "medium": 8, "large": 64}
_TABLES: dict[str, np.ndarray] = {}


@dataclass(frozen=True)
class Case:
    """A kernel, its twin, their arguments, and how far apart their results may be."""

    name: str
    make: Callable[[str], tuple[Any, ...]]  # size -> arguments, fresh and equal at every call
    rtol: float = 0.0
    atol: float = 0.0
    reason: str = "the same operations in the same order"

    @property
    def kernel(self) -> Callable[..., Any]:
        return getattr(kernels, self.name)

    @property
    def twin(self) -> Callable[..., Any]:
        return getattr(reference, self.name)

    @staticmethod
    def call(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Return the result of the function, or its last argument if it writes to that."""
        result = function(*args)
        return args[-1] if result is None else result


def _draw(size: str) -> np.random.Generator:
    return np.random.default_rng(SIZES.index(size))


def _table(size: str) -> np.ndarray:
    """A noise table, made once: no case writes to it."""
    if size not in _TABLES:
        _TABLES[size] = _draw(size).standard_normal(_N_NOISE[size], np.float32)
    return _TABLES[size]


def _directions(size: str, n_weights: int, n: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A noise table and n indices into it."""
    noise = _table(size)
    return noise, _draw(size).integers(0, len(noise) - n_weights + 1, _N_DELTA[size] if n is None else n)


def _returns(size: str, with_gaps: bool = True) -> np.ndarray:
    """Returns (n_delta, 2) with ties, as CartPole gives them, and with two pairs that are not finite."""
    returns = np.round(_draw(size).uniform(0, 50, (_N_DELTA[size], 2)))
    if with_gaps:
        returns[1, 0], returns[4, 1] = np.nan, -np.inf
    return returns


def _selected(size: str) -> np.ndarray:
    return np.flatnonzero(reference.finite_pairs(_returns(size)))[::2]


def _vectors(size: str, n: int) -> list[np.ndarray]:
    return list(_draw(size).standard_normal((n, _N_WEIGHTS[size])))


def _filter(n_obs: int) -> Filter:
    draw = np.random.default_rng(3)
    return Filter(draw.standard_normal(n_obs), draw.uniform(0.0, 2.0, n_obs), 1.5)


def _noise_size(size: str) -> int:
    return {"small": 1_000, "medium": 200_000, "large": 25_000_000}[size]


def _fill_noise(size: str) -> tuple[Any, ...]:
    return SEED, 3, np.empty(_noise_size(size), np.float32)


def _missing_blocks(size: str) -> tuple[Any, ...]:
    is_filled = _draw(size).random(-(-_N_NOISE[size] // reference.NOISE_BLOCK)) < 0.5
    return _directions(size, 10, _N_DELTA[size])[1], 10, is_filled


def _fill_blocks(size: str) -> tuple[Any, ...]:
    n_noise = _noise_size(size)
    return SEED, np.arange(0, -(-n_noise // reference.NOISE_BLOCK), 2), np.zeros(n_noise, np.float32)


def _perturb(size: str) -> tuple[Any, ...]:
    (theta,) = _vectors(size, 1)
    noise, indices = _directions(size, len(theta), {"small": 8, "medium": 64, "large": 8}[size])
    return theta, 0.05, noise, indices


def _write_candidates(size: str) -> tuple[Any, ...]:
    """Candidates 3 to 11, or to 6: a second one of a pair, whole pairs, and a first one."""
    theta, sigma, noise, indices = _perturb(size)
    out = np.empty((4 if size == "large" else 8, len(theta)), np.float32 if size == "medium" else np.float64)
    return theta, sigma, noise, indices, 3, out


def _noise_slices(size: str) -> tuple[Any, ...]:
    theta, _, noise, indices = _perturb(size)
    return noise, indices, len(theta)


def _weighted_sums(size: str) -> tuple[Any, ...]:
    n = {"small": 16, "medium": 66, "large": 256}[size]  # 66: not a multiple of the directions per pass
    n_weights = {"small": 8, "medium": 9_001, "large": 500_000}[size]
    noise, indices = _directions(size, n_weights, n)
    return _draw(size).standard_normal(n), noise, indices, n_weights


def _weighted_sum(size: str) -> tuple[Any, ...]:
    *args, n_weights = _weighted_sums(size)
    return *args, np.empty(n_weights)


_POLICIES = {"small": LinearPolicy(), "medium": MlpPolicy((64, 64)), "large": MlpPolicy((64, 64))}


def _action_scores(size: str) -> tuple[Any, ...]:
    policy, draw = _POLICIES[size], _draw(size)
    n_obs, n_act = {"small": (4, 2), "medium": (N_OBS, N_ACT), "large": (376, 17)}[size]
    weights = draw.standard_normal(n_weights(policy, n_obs, n_act))
    return policy, weights, draw.standard_normal(n_obs).astype(np.float32), _filter(n_obs)


def _batch_action_scores(size: str) -> tuple[Any, ...]:
    policy, draw = _POLICIES[size], _draw(size)
    m = {"small": 3, "medium": 200, "large": 2_000}[size]
    weights = draw.standard_normal(n_weights(policy, N_OBS, N_ACT))
    return policy, weights, draw.standard_normal((m, N_OBS)).astype(np.float32), _filter(N_OBS)


def _fill_actions(size: str) -> tuple[Any, ...]:
    draw = _draw(size)
    scores = draw.standard_normal(({"small": 3, "medium": 200, "large": 20_000}[size], N_ACT))
    low, high = draw.uniform(-1.5, -0.5, N_ACT).astype(np.float32), draw.uniform(0.5, 1.5, N_ACT).astype(np.float32)
    if size == "small":
        return Choices(np.array([0, -1, 5]), np.array([2, 3, 1])), low, high, scores, np.empty((len(scores), 3), np.int64)
    return Clip(), low, high, scores, np.empty(scores.shape, np.float32)


def _rollouts(size: str) -> tuple[Any, ...]:
    draw = _draw(size)
    n = 2 * _N_ROLLOUT_DELTA[size]
    return CARTPOLE, _filter(4), draw.standard_normal((n, 10)), draw.integers(0, 2**32, 2 * n, np.uint64), True


def _antithetic_rollouts(size: str) -> tuple[Any, ...]:
    n = _N_ROLLOUT_DELTA[size]
    noise, indices = _directions(size, 10, n)
    theta, seeds = _draw(size).standard_normal(10), _draw(size).integers(0, 2**32, 2 * n, np.uint64)
    return CARTPOLE, _filter(4), theta, 0.3, noise, indices, seeds, True


def _merge_moments(size: str) -> tuple[Any, ...]:
    m, draw = 2 * _N_DELTA[size], _draw(size)
    episodes = Moments(draw.integers(0, 500, m), draw.standard_normal((m, N_OBS)), draw.uniform(0, 9, (m, N_OBS)))
    episodes.count[2], episodes.mean[3, 1], episodes.m2[5, 0] = 0, np.nan, np.inf
    return 0, np.zeros(N_OBS), np.zeros(N_OBS), episodes


def _filter_from_moments(size: str) -> tuple[Any, ...]:
    draw = _draw(size)
    n_obs = {"small": 4, "medium": N_OBS, "large": 376}[size]
    m2 = draw.uniform(0, 900, n_obs)
    m2[1] = 0.0
    return 100, draw.standard_normal(n_obs), m2, 1, 1e-6, 1e-8, 1e-3


def _candidate_returns(size: str) -> tuple[Any, ...]:
    shape, draw = (_N_DELTA[size], 2, 5), _draw(size)
    status = draw.integers(1, 3, shape)
    status[0, 0, 2] = 3
    returns = draw.uniform(-9, 9, shape)
    returns[2, 1, 1] = np.inf
    return returns, draw.integers(1, 500, shape), status, -1.5


def _penalized_returns(size: str) -> tuple[Any, ...]:
    returns = _returns(size)
    returns[5], returns[6, 0] = np.inf, np.nan
    status = np.ones((len(returns), 2, 3), np.int64)
    status[4, 1, 2], status[6, 0, 1], status[1, 0, 0] = NONFINITE, FAILED, UNSTABLE
    return returns, status


def _count_outcomes(size: str) -> tuple[Any, ...]:
    returns, status = _penalized_returns(size)
    status[2, 0, :2] = UNSTABLE  # more than there are of any other failure
    return returns, np.arange(status.size).reshape(status.shape), status


def _direction_weights(size: str) -> tuple[Any, ...]:
    return _returns(size), _selected(size), len(_selected(size)), 3.25, 1e-6


def _sgd_step(size: str) -> tuple[Any, ...]:
    velocity, gradient, theta = _vectors(size, 3)
    return velocity, gradient, 0.02, 0.9, 0.005, theta


def _adam_step(size: str) -> tuple[Any, ...]:
    m, v, gradient, theta = _vectors(size, 4)
    return m, v * v, 7, gradient, 0.02, 0.9, 0.999, 1e-8, 0.005, theta


def _diagnostics(size: str) -> tuple[Any, ...]:
    returns, squares = _returns(size), _draw(size).uniform(0.9, 1.1, _N_DELTA[size]) * _N_WEIGHTS[size]
    kept, (gradient, previous) = np.flatnonzero(reference.finite_pairs(returns)), _vectors(size, 2)
    return returns, kept, squares[kept], gradient * 0.01, gradient + previous, 0.05, _selected(size)


def _task_gradients(size: str) -> tuple[Any, ...]:
    _, noise, indices, n_weights = _weighted_sums(size)
    n_tasks = {"small": 3, "medium": 4, "large": 4}[size]
    return _draw(size).standard_normal((len(indices), n_tasks)), noise, indices, np.empty((n_tasks, n_weights))


def _sum_weights(size: str) -> tuple[Any, ...]:
    kept, differences = reference.task_differences(_task_returns(size), 0.05)
    selected = _selected(size)
    return selected, _draw(size).standard_normal(len(selected)), kept, differences, _N_DELTA[size]


def _direction_sums(size: str) -> tuple[Any, ...]:
    _, noise, indices, n_weights = _weighted_sums(size)
    n_sums = {"small": 3, "medium": 7, "large": 5}[size]
    first, last = {"small": (0, n_weights), "medium": (1, n_weights - 3), "large": (0, n_weights)}[size]
    sums = np.zeros((n_sums, n_weights))
    return _draw(size).standard_normal((len(indices), n_sums)), noise, indices, first, last, sums


def _direction_squares(size: str) -> tuple[Any, ...]:
    _, noise, indices, n_weights = _weighted_sums(size)
    return noise, reference.square_sums(noise), indices, n_weights


def _task_returns(size: str) -> np.ndarray:
    returns = np.round(_draw(size).uniform(0, 50, (_N_DELTA[size], 2, _N_TASKS[size])))
    returns[1, 0, 2], returns[4, 1, 0] = np.nan, -np.inf
    return returns


def _task_diagnostics(size: str) -> tuple[Any, ...]:
    n_tasks, draw = _N_TASKS[size], _draw(size)
    return _task_returns(size)[5:], draw.uniform(0.1, 2, n_tasks), _gram(size), _gram(size) - 0.3 * np.diag(np.diag(_gram(size)))


def _spread_test(size: str) -> tuple[Any, ...]:
    draw, n = _draw(size), _N_DELTA[size]
    returns = np.round(draw.normal(0, draw.uniform(5, 15, (n, 2, 1)), (n, 2, {"small": 4, "medium": 5, "large": 10}[size])))
    returns[3, 0, 1] = np.nan
    return returns, size == "medium"


def _slope_test(size: str) -> tuple[Any, ...]:
    return _spread_test(size)[:1]


def _rank_correlation(size: str) -> tuple[Any, ...]:
    first, later = np.nan_to_num(_spread_test(size)[0][:, 0, :2].T)
    return first.copy(), later.copy()


_N_TASKS = {"small": 3, "medium": 9, "large": 16}


def _gradients(size: str) -> np.ndarray:
    """Gradients of tasks of different size, some in conflict."""
    draw, n_tasks = _draw(size), _N_TASKS[size]
    return draw.standard_normal((n_tasks, {"small": 5, "medium": 1_001, "large": 100_000}[size])) * draw.uniform(
        0.2, 5, (n_tasks, 1)
    )


def _gram(size: str) -> np.ndarray:
    gradients = _gradients(size)[:, : 2 * _N_TASKS[size]]
    return reference.gram(gradients)


def _indefinite_gram(size: str) -> np.ndarray:
    noise = _draw(size).standard_normal((_N_TASKS[size],) * 2)
    return _gram(size) + 2.0 * (noise + noise.T)


def _debiased_gram(size: str) -> tuple[Any, ...]:
    draw, n_tasks = _draw(size), _N_TASKS[size]
    return _gram(size), draw.standard_normal((_N_DELTA[size], n_tasks)), draw.uniform(1, 2, _N_DELTA[size])


def _preferred(size: str) -> tuple[Any, ...]:
    return _gram(size), np.full(_N_TASKS[size], 1.0 / _N_TASKS[size])


def _pcgrad(size: str) -> tuple[Any, ...]:
    n_tasks, draw = _N_TASKS[size], _draw(size)
    return _gram(size), np.array([draw.permutation(n_tasks) for _ in range(n_tasks)])


def _balance(size: str) -> tuple[Any, ...]:
    """Weights, norms and loss ratios of tasks whose sizes differ by orders of magnitude, and alpha."""
    draw, n_tasks = _draw(size), _N_TASKS[size]
    return draw.uniform(0.1, 2.0, n_tasks), 10.0 ** draw.uniform(-3, 3, n_tasks), draw.uniform(0.1, 2.0, n_tasks), 1.5


ROLLOUT = "the polynomial sine and NumPy's differ by an ulp, and moments are summed in another order"
ORDER = "sums in another order, and products that are not rounded before they are added"
SOLVER = "LAPACK's solutions of linear systems and eigenvalues"
TRANSCENDENTAL = "pow of two C libraries"
BETA = "exp, log and lgamma of two C libraries"

CASES = [
    Case("fill_noise", _fill_noise),
    Case("fill_blocks", _fill_blocks),
    Case("noise_table", lambda size: (SEED, _noise_size(size))),
    Case("noise", lambda size: (SEED, 1_000, _noise_size(size))),
    Case("missing_blocks", _missing_blocks),
    Case("sample_indices", lambda size: (SEED, 12, _N_DELTA[size], _N_NOISE[size], 10)),
    Case("episode_seeds", lambda size: (SEED, 12, _N_DELTA[size], 3, size == "medium")),
    Case("noise_slices", _noise_slices),
    Case("perturb", _perturb),
    Case("write_candidates", _write_candidates),
    Case("action_scores", _action_scores),
    Case("batch_action_scores", _batch_action_scores),
    Case("fill_actions", _fill_actions),
    Case("rollouts", _rollouts, rtol=1e-9, atol=1e-12, reason=ROLLOUT),
    Case("antithetic_rollouts", _antithetic_rollouts, rtol=1e-9, atol=1e-12, reason=ROLLOUT),
    Case("merge_moments", _merge_moments),
    Case("filter_from_moments", _filter_from_moments),
    Case("candidate_returns", _candidate_returns),
    Case("finite_pairs", lambda size: (_returns(size),)),
    Case("count_outcomes", _count_outcomes),
    Case("penalized_returns", _penalized_returns),
    Case("top_directions", lambda size: (_returns(size), _N_DELTA[size] // 3, size == "medium")),
    Case("return_std", lambda size: (_returns(size), _selected(size), 1)),
    Case("direction_weights", _direction_weights),
    Case("step_weights", lambda size: (_returns(size), _returns(size), _N_DELTA[size] // 3, size == "medium", 0, 1, 1e-6)),
    Case("direction_sums", _direction_sums),
    Case("weighted_sum", _weighted_sum),
    Case("weighted_sums", _weighted_sums),
    Case("centered_ranks", lambda size: (_returns(size),)),
    Case("sign_returns", lambda size: (_returns(size),)),
    Case("sgd_step", _sgd_step),
    Case("adam_step", _adam_step, rtol=1e-15, reason=TRANSCENDENTAL),
    Case("norm_sq", lambda size: (_vectors(size, 1)[0],)),
    Case("norm", lambda size: (_vectors(size, 1)[0],)),
    Case("task_differences", lambda size: (_task_returns(size), 0.05)),
    Case("task_gradients", _task_gradients),
    Case("sum_weights", _sum_weights),
    Case("square_sums", lambda size: (_table(size),)),
    Case("direction_squares", _direction_squares),
    Case("diagnostics", _diagnostics),
    Case("task_diagnostics", _task_diagnostics, rtol=1e-10, atol=1e-12, reason=SOLVER),
    Case("rank_correlation", _rank_correlation, rtol=1e-11, reason=BETA),
    Case("spread_test", _spread_test, rtol=1e-11, reason=BETA),
    Case("slope_test", _slope_test, rtol=1e-11, reason=BETA),
    Case("gradnorm_gradient", _balance),
    Case("gradnorm_closed", lambda size: _balance(size)[1:], rtol=1e-14, reason=TRANSCENDENTAL),
    Case("gradnorm_log", lambda size: (*_balance(size), 0.1, 1e-12), rtol=1e-14, reason=TRANSCENDENTAL),
    Case("gradnorm_softmax", _balance, rtol=1e-12, atol=1e-12, reason=TRANSCENDENTAL),
    Case("bounded_weights", lambda size: (_balance(size)[1], 0.25, float(_N_TASKS[size])), rtol=1e-15, reason=ORDER),
    Case("gram", lambda size: (_gradients(size),), rtol=1e-12, atol=1e-8, reason=ORDER),
    Case("gradient_norms", lambda size: (_gradients(size),)),
    Case("debiased_gram", _debiased_gram),
    Case("positive_gram", lambda size: (_indefinite_gram(size),), rtol=1e-10, atol=1e-10, reason=SOLVER),
    Case("mgda", lambda size: (_gram(size),), rtol=1e-10, atol=1e-12, reason=SOLVER),
    Case("cagrad", lambda size: (_gram(size), 0.5), rtol=1e-10, reason=SOLVER),
    Case("dual_proj", _preferred, rtol=1e-10, reason=SOLVER),
    Case("upgrad", _preferred, rtol=1e-10, reason=SOLVER),
    Case("imtl_g", lambda size: (_gram(size),), rtol=1e-10, reason=SOLVER),
    Case("aligned_mtl", lambda size: (_gram(size),), rtol=1e-10, reason=SOLVER),
    Case("config", lambda size: (_gram(size),), rtol=1e-10, reason=SOLVER),
    Case("db_mtl", lambda size: (*_balance(size)[:3], np.full(_N_TASKS[size], 0.9), np.full(_N_TASKS[size], 0.5)), rtol=1e-14),
    Case("pcgrad", _pcgrad, rtol=1e-12, reason=ORDER),
    Case("nash_mtl", lambda size: (_gram(size),), rtol=1e-10, reason=SOLVER),
    Case("fairgrad", lambda size: (_gram(size), 2.0), rtol=1e-10, reason=SOLVER),
    Case("info", lambda size: tuple(_vectors(size, 3))),
]

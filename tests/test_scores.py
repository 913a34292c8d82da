"""The average over seeds and its interval: against SciPy, by hand, and against a bootstrap written another way.

Broken on purpose -> red: samples that draw the seeds of all tasks together (`draws_the_seeds_of_a_task_by_itself`); samples that
mix tasks (`each_task_is_a_stratum`); nothing trimmed (`trimmed_mean`); an interval of 90 % (`bootstrap_of_scipy`).
"""

import numpy as np
import pytest
from scipy import stats

from fastars.plot import interquartile_mean, score_interval


@pytest.mark.parametrize("n_seeds", [1, 2, 3, 4, 5, 7, 8, 10, 33])
def test_the_average_is_the_trimmed_mean(n_seeds):
    """rliable's interquartile mean is SciPy's mean without a quarter at each end."""
    returns = np.random.default_rng(n_seeds).normal(100.0, 30.0, n_seeds)
    assert score_interval(returns).center == pytest.approx(stats.trim_mean(returns, 0.25), rel=1e-12)
    assert score_interval(returns, "mean").center == pytest.approx(returns.mean(), rel=1e-12)


def test_results_of_several_tasks_are_averaged_together():
    returns = np.random.default_rng(0).normal(size=(6, 5))
    assert score_interval(returns).center == pytest.approx(stats.trim_mean(returns, 0.25, axis=None), rel=1e-12)


def test_the_interval_is_the_bootstrap_of_scipy():
    """SciPy draws other samples, so the ends agree to the error of 10,000 samples."""
    returns = np.random.default_rng(1).normal(100.0, 30.0, 10)
    found = score_interval(returns)
    theirs = stats.bootstrap(
        (returns,), lambda x, axis: stats.trim_mean(x, 0.25, axis=axis), method="percentile", n_resamples=10_000, rng=5
    )
    spread = found.high - found.low
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=0.04 * spread)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=0.04 * spread)


def test_each_task_is_a_stratum():
    """Two tasks of very different returns: samples that mixed them would have a wide interval."""
    returns = np.array([[0.0, 1000.0]] * 6)
    assert score_interval(returns, "mean") == (500.0, 500.0, 500.0)


def test_a_sample_draws_the_seeds_of_a_task_by_itself():
    """Seeds that go up in one task and down in the other: drawn together, their sum would not vary."""
    returns = np.column_stack([np.arange(6.0), -np.arange(6.0)])
    found = score_interval(returns, "mean")
    assert found.high - found.low > 1.0


def test_a_single_seed_has_no_width():
    assert score_interval([3.0]) == (3.0, 3.0, 3.0)


def test_one_failed_seed_does_not_move_the_average():
    assert score_interval([500.0, 500.0, 480.0, 120.0]).center == 490.0
    assert interquartile_mean(np.array([500.0, 500.0, 480.0, 120.0])) == 490.0


def test_the_interval_is_the_same_at_every_call_and_wider_with_more_confidence():
    returns = np.random.default_rng(2).normal(size=8)
    found, wider = score_interval(returns), score_interval(returns, confidence=0.99)
    assert found == score_interval(returns)
    assert wider.low < found.low < found.center < found.high < wider.high


@pytest.mark.parametrize(
    ("returns", "options", "error", "told"),
    [
        ([], {}, ValueError, r"returns must have the shape \(n_seeds,\) or \(n_seeds, n_tasks\), got \(0,\)"),
        (np.zeros((2, 2, 2)), {}, ValueError, r"got \(2, 2, 2\)"),
        ([1.0, float("nan")], {}, ValueError, "returns must be finite, got nan"),
        (["high"], {}, TypeError, "returns must be numbers, one for each seed"),
        ([1.0], {"average": "median"}, ValueError, "average must be one of 'iqm', 'mean'"),
        ([1.0], {"confidence": 1.0}, ValueError, "confidence must be a finite number above 0 and below 1, got 1.0"),
        ([1.0], {"n_resamples": 0}, ValueError, "n_resamples must be an integer of at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_refused(returns, options, error, told):
    with pytest.raises(error, match=f"score_interval.*{told}"):
        score_interval(returns, **options)

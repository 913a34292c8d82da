"""The methods keep their word over random and degenerate gradients: 2 to 16 tasks, norms that differ by 1e12, any scale.

Tolerances are in the measure of `tilts`: parts of the sum of the lengths of the weighted gradients, which rounding in float64 moves
by some 1e-16, however much these gradients cancel each other.

Seen failing, with the code before and with these changes: a ridge of 1e-13 in Nash-MTL (near opposition), FairGrad's 100 damped
steps (alpha of 50), a clip of GradNorm's log steps that is not centred, and one centred on closed weights without `min_weight`;
a rest of T that is a difference alone; Aligned-MTL without the scale of its Gram matrix; ConFIG without its length, without the
tasks' norms, with the sign of IMTL-G; DB-MTL without the losses in its averages, and without the products of its decays.

Broken on purpose, one at a time: a rank tolerance of Aligned-MTL of 0, of 1, 14 or 1.6e5 T eps -> test_components red; no look at
the numbers of a step, exp without a shift, 1 / L instead of a quotient, squares of losses, FAMO without its epsilon, or a root of
L^2 + 8 L -> test_methods_of_losses or test_closed_uncertainty red; deviations not divided by the largest -> test_deviations red.
"""

import numpy as np
import pytest
from gradient_matrices import KINDS, SCALES, degenerate, make_matrix, matrices, rates, tilts, units
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastars import kernels, reference
from fastars.weighting import DBMTL, FairGrad, GradNorm, make_method

QUICK = settings(max_examples=40, deadline=None, derandomize=True)
OF_ONE_SCALE = make_matrix("random", 3, 7, 1.0, 1.0, 0)


def exact_gram(rows):
    """The Gram matrix in extended precision, and its part without signs."""
    rows = np.asarray(rows, np.longdouble)
    return rows @ rows.T, np.abs(rows @ rows.T)


def weights_if_finite(method, *args, **kwargs):
    """The weights of a step, or None if its error says that there are none."""
    try:
        return method.step(*args, **kwargs)
    except ValueError as error:
        if "has no finite weights for losses=" not in str(error):
            raise
        return None


def bargain(rows, weights, alpha):
    """The distance between both sides of G w = w^(-1/alpha), and their size, as parts of the sum over j of |G_ij| w_j."""
    gram, sizes = exact_gram(rows)
    kept = (np.diag(gram) > 0.0) & (weights > 1e-290)
    weights = np.asarray(weights, np.longdouble)
    size, rate = (sizes @ weights)[kept], (gram @ weights)[kept]
    return np.abs(rate - weights[kept] ** (-1.0 / alpha)) / size, rate / size


# --- Nash-MTL and FairGrad


@pytest.mark.promise(22)
@pytest.mark.parametrize("backend", [kernels, reference], ids=["kernels", "reference"])
@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0, 2.0, 10.0, 50.0, 99.9])
def test_bargains_solve_their_equation_wherever_it_has_a_solution(backend, alpha, tally):
    """The equation holds to 1e-12; where its solution cancels gradients to rounding, rates are 0 to 1e-13."""
    n_solved = 0
    for seed in range(tally.of(30, 600)):
        draw = np.random.default_rng(seed)
        rows = make_matrix(
            KINDS[seed % len(KINDS)], int(draw.integers(2, 17)), int(draw.integers(1, 41)), 10 ** draw.uniform(0, 12), 1.0, seed
        )
        weights = backend.fairgrad(np.asarray(exact_gram(rows)[0], np.float64), alpha)
        assert np.isfinite(weights).all()
        assert (weights >= 0.0).all()
        assert tilts(rows, weights).min() >= -1e-13
        apart, left = bargain(rows, weights, alpha)
        if len(left) and left.min() > 1e-12:
            assert apart.max() <= 1e-12
            n_solved += 1
    assert n_solved >= 5
    tally(f"bargains with alpha = {alpha:g}", n_solved)


def test_fairgrad_of_a_large_alpha_serves_the_worst_task():
    """Three tasks whose norms differ by 1,000. The right weights were found with 50 digits."""
    rows = np.array([[3000.0, 2000.0, -3000.0], [-32.0, 0.0, 32.0], [-3.0, 3.0, 0.0]])
    weights = FairGrad(3, alpha=50.0).step(grads=rows)
    np.testing.assert_allclose(weights, [8.25901e-06, 7.92058e-32, 6.01449e-02], rtol=1e-5)
    direction = weights @ rows
    cosines = rows @ direction / np.linalg.norm(rows, axis=1) / np.linalg.norm(direction)
    assert cosines.min() == pytest.approx(0.0010, abs=1e-4)


@pytest.mark.parametrize("ratio", [1e3, 1e5, 1e6, 1e7])
@pytest.mark.parametrize("given_as", ["grads", "gram"])
def test_nash_mtl_of_nearly_opposite_gradients(ratio, given_as):
    """G w = 1 / w at w = (1, 1) / sqrt(2): float64 holds the products of these gradients exactly."""
    rows = np.array([[ratio, 1.0], [-ratio, 1.0]])
    given = {"grads": rows} if given_as == "grads" else {"gram": rows @ rows.T}
    np.testing.assert_allclose(make_method("nash-mtl").step(**given), [0.5**0.5] * 2, rtol=1e-6)
    np.testing.assert_allclose(make_method("fairgrad", alpha=3.0).step(**given), [0.5**0.75] * 2, rtol=1e-6)


# --- GradNorm


def run_to(method, losses, norms, n_steps):
    for _ in range(n_steps):
        method.step(losses, norms=norms)
    return method.weights


@pytest.mark.promise(22)
def test_log_steps_end_at_the_closed_form_from_anywhere(tally):
    """After D / h + log(1e7) / h steps of the rate h, from weights with ratios e^D to the closed ones, within 1e-7."""
    n_runs = tally.of(12, 200)
    for seed in range(n_runs):
        draw = np.random.default_rng(seed)
        n_tasks, alpha = int(draw.integers(2, 17)), draw.choice([0.0, 0.12, 1.0, 1.5, 3.0, 8.0])
        least, scale, rate = (
            draw.choice([1e-100, 1e-3, 0.9]),
            10.0 ** draw.choice([-300, -150, 0, 150, 290]),
            draw.choice([0.1, 0.5, 1.0]),
        )
        norms, before, after = 10.0 ** draw.uniform([-12, -6, -12], [0, 6, 0], (n_tasks, 3)).T
        arguments = {"alpha": alpha, "min_weight": least, "initial_losses": [1.0] * n_tasks}
        method = GradNorm(n_tasks, learning_rate=rate, **arguments)
        run_to(method, before, norms[::-1] * scale, 300)
        closed = run_to(GradNorm(n_tasks, update="closed", **arguments), after, norms * scale, 1)
        distances = np.log(method.weights / closed)
        n_steps = int(np.ceil((np.ptp(distances) + np.log(1e7)) / rate))
        np.testing.assert_allclose(run_to(method, after, norms * scale, n_steps), closed, rtol=1e-7)
        assert method.weights.min() >= least
    tally("GradNorm's fixed point", n_runs)


def test_log_steps_do_not_stall_where_all_of_them_are_clipped():
    """One task's losses fall, and then three tasks' do: their targets are all far from their norms, on one side."""
    method = GradNorm(4, alpha=3.0)
    for losses, n_steps in (([1.0] * 4, 1), ([0.01, 0.5, 0.5, 0.5], 1499), ([0.1, 0.1, 0.1, 1.0], 2500)):
        run_to(method, losses, [1.0] * 4, n_steps)
    np.testing.assert_allclose(method.weights, np.array([1.0, 1.0, 1.0, 1000.0]) * 4 / 1003, rtol=1e-9)


@pytest.mark.parametrize("update", ["paper", "softmax"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e120, 1e300])
def test_adams_weights_balance_the_norms_at_any_scale_above_its_epsilon(update, scale):
    """To the length of Adam's step. Above 1e154 the squares of norms overflow."""
    norms = np.array([1.0, 2.0, 4.0]) * scale
    weights = run_to(GradNorm(3, 0.0, update=update), None, norms, 3000)
    np.testing.assert_allclose(weights, np.array([12.0, 6.0, 3.0]) / 7, rtol=0.15)


def test_loss_ratios_may_leave_the_range_of_float64():
    one, other = (GradNorm(2, 1.0, update="closed", initial_losses=initial) for initial in ([1e-300, 1e-300], [1.0, 1.0]))
    for method, scale in ((one, 1e290), (other, 1.0)):
        method.step([3.0 * scale, scale], norms=[1.0, 1.0])
    np.testing.assert_allclose(one.weights, other.weights, rtol=1e-14)
    np.testing.assert_allclose(one.weights, [1.5, 0.5], rtol=1e-14)


def test_powers_of_rates_may_leave_the_range_of_float64():
    weights = run_to(GradNorm(2, 200.0, update="closed", initial_losses=[1.0, 1.0]), [1.0, 1e-2], [1.0, 1.0], 1)
    np.testing.assert_allclose(weights, [2.0, 1e-100], rtol=1e-14)
    weights = run_to(GradNorm(2, 200.0, initial_losses=[1.0, 1.0]), [1.0, 1e-2], [1.0, 1.0], 4000)
    np.testing.assert_allclose(weights, [2.0, 1e-100], rtol=1e-7)


@pytest.mark.parametrize("update", ["log", "closed", "paper"])
def test_a_moving_first_loss_of_zero_is_not_divided_by(update):
    method = GradNorm(2, 1.0, update=update, initial_losses_decay=0.0)
    for losses in ([1.0, 1.0], [0.0, 1.0], [0.5, 1.0], [0.5, 1.0]):
        method.step(losses, norms=[1.0, 1.0])
    assert np.isfinite(method.weights).all()


@pytest.mark.parametrize("update", ["log", "closed"])
def test_the_rest_of_the_weights_is_not_lost_beside_a_task_that_had_nearly_all(update):
    method = GradNorm(3, 0.0, update=update)
    run_to(method, None, [1.0, 1.0, 1e-12], 600)
    rest = method.weights[:2].sum()
    weights = run_to(method, None, [1.0, 3.0, 0.0], 300)
    np.testing.assert_allclose(weights[:2], np.array([0.75, 0.25]) * rest, rtol=1e-9)


# --- The methods of eigenvalues


def independent(rows):
    """The tasks have gradients, and the smallest singular value of the unit gradients is well above the rank tolerance."""
    norms, unit = units(rows)
    return (norms > 0.0).all() and np.linalg.svd(unit.astype(np.float64), compute_uv=False)[len(rows) - 1 :].sum() > 1e-4


@pytest.mark.promise(22)
@QUICK
@given(matrices(), st.sampled_from(["imtl-g", "config"]))
@example(np.array([[1e12, 0.0], [0.0, 1.0]]), "imtl-g")
@example(np.array([[1e12, 0.0], [-1.0, 1e-2]]), "config")
def test_projections_are_equal_where_gradients_are_independent(rows, name):
    weights = make_method(name).step(grads=rows)
    assert np.isfinite(weights).all()
    found = tilts(rows, weights)
    if independent(rows) and weights.any():
        assert np.ptp(found) <= 1e-10
        assert name == "imtl-g" or found.min() > 0.0


@QUICK
@given(matrices())
@example(OF_ONE_SCALE)
def test_config_is_as_long_as_the_sum_of_the_projections(rows):
    """And the opposite of IMTL-G where the weights of that sum to 1 only with a change of sign."""
    weights, other = make_method("config").step(grads=rows), make_method("imtl-g").step(grads=rows)
    norms, unit = units(rows)
    if not weights.any():
        return
    scale = norms.max()
    direction = (weights * norms / scale) @ unit
    length = np.sqrt(direction @ direction)
    if length <= 1e-6 * np.abs(weights * norms / scale).sum():
        return  # the direction is what rounding leaves
    sum_of_projections = (norms / scale * (unit @ direction)).sum() / length
    assert abs(length - sum_of_projections) <= 1e-8 * max(length, np.abs(norms / scale).sum())
    if other.any() and independent(rows):
        ratio = (weights * norms) / np.where(other == 0.0, 1.0, other * norms)
        np.testing.assert_allclose(ratio[other != 0.0], ratio[np.flatnonzero(other)[0]], rtol=1e-6)


def component_lengths(rows, weights):
    """Lengths of the principal components of the direction, and of those of the mean gradient."""
    u, values, v = np.linalg.svd(rows, full_matrices=False)
    return np.abs(v @ (weights @ rows)), np.abs(u.T @ np.full(len(rows), 1.0 / len(rows))), values


@pytest.mark.promise(22)
@QUICK
@given(matrices(largest_ratio=1e4))
def test_aligned_mtl_has_principal_components_of_the_shortest_length(rows):
    rows = rows / np.abs(rows).max()
    weights = make_method("aligned-mtl").step(grads=rows)
    found, shares, values = component_lengths(rows, weights)
    kept = values > 1e-6 * values.max()
    if values[~kept].max(initial=0.0) > 1e-9 * values.max():
        return  # between the tolerances
    np.testing.assert_allclose(found[kept], shares[kept] * values[kept].min(), rtol=1e-4, atol=1e-9 * values[kept].min())


@pytest.mark.parametrize("backend", [kernels, reference], ids=["kernels", "reference"])
@pytest.mark.parametrize("n_tasks", [2, 5])
@pytest.mark.parametrize(("parts", "is_kept"), [(15.0, False), (17.0, True)])
def test_components_below_16_t_eps_are_none_for_aligned_mtl(backend, n_tasks, parts, is_kept):
    """Orthogonal gradients, the last one short: the others are shortened to it, or it counts as 0."""
    square = parts * n_tasks * 2.0**-52
    weights = backend.aligned_mtl(np.diag([*[1.0] * (n_tasks - 1), square]))
    others, last = (square**0.5, 1.0) if is_kept else (1.0, 0.0)
    np.testing.assert_allclose(weights, np.array([*[others] * (n_tasks - 1), last]) / n_tasks, rtol=1e-12, atol=0)


def in_lengths(rows, weights):
    shares = np.asarray(weights, np.longdouble) * units(rows)[0]
    size = np.abs(shares).max()
    return (shares / (size if size > 0.0 else 1.0)).astype(np.float64)


BY_KERNEL = {
    "imtl_g": (lambda backend, gram: backend.imtl_g(gram), 1e-6),
    "config": (lambda backend, gram: backend.config(gram), 1e-6),
    "aligned_mtl": (lambda backend, gram: backend.aligned_mtl(gram), 1e-6),
    "pcgrad": (lambda backend, gram: backend.pcgrad(gram, np.tile(np.arange(len(gram)), (len(gram), 1))), 1e-12),
    "nash_mtl": (lambda backend, gram: backend.nash_mtl(gram), 1e-6),
    "fairgrad": (lambda backend, gram: backend.fairgrad(gram, 5.0), 1e-6),
}


@pytest.mark.promise(22)
@pytest.mark.parametrize("name", BY_KERNEL)
def test_kernel_and_twin_agree_over_degenerate_gradients_of_every_scale(name, tally):
    """Weighted gradients differ by a part of the longest; the weights of Aligned-MTL, which depend on the units, by themselves."""
    solve, tolerance = BY_KERNEL[name]
    compared = [(label, rows) for n_tasks in (2, 3, 6) for label, rows in degenerate(n_tasks)]
    for label, rows in compared:
        gram = kernels.gram(rows)
        if not np.isfinite(gram).all() or 0.0 < np.diag(gram)[np.diag(gram) > 0.0].min(initial=1.0) < 1e-290:
            continue  # `Method.step` scales these first
        ours, theirs = (solve(backend, gram) for backend in (kernels, reference))
        if name == "aligned_mtl":
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-7, err_msg=label)
            continue
        if name in ("nash_mtl", "fairgrad") and min(tilts(rows, ours).min(), tilts(rows, theirs).min()) < 1e-9:
            continue  # without a solution, rounding decides how the gradients cancel each other
        np.testing.assert_allclose(in_lengths(rows, ours), in_lengths(rows, theirs), rtol=0, atol=tolerance, err_msg=label)
    tally(f"twins of {name}", len(compared))


# --- DB-MTL


def test_db_mtl_by_hand():
    """|grad log L| = (6, 1): the second gradient is stretched by 6, and both are divided by their losses."""
    assert DBMTL(beta=0.0).step([0.5, 2.0], norms=[3.0, 2.0]).tolist() == [2.0, 3.0]
    weights, averages, products = kernels.db_mtl(*np.array([[3.0, 2.0], [0.5, 2.0], [1.0, 2.0], [0.5, 0.5], [0.5, 0.5]]))
    np.testing.assert_allclose(averages, [3.5, 1.5], rtol=1e-15)
    np.testing.assert_allclose(products, [0.25, 0.25], rtol=1e-15)
    np.testing.assert_allclose(weights, [2.0, 3.5 / 1.5 / 2.0], rtol=1e-15)


def test_db_mtl_makes_the_papers_step_of_averaged_gradients():
    """The average of the gradients of log L, each stretched to the longest: given as gradients of losses of 1."""
    draw, average = np.random.default_rng(0), np.zeros((3, 5))
    method = DBMTL(beta=0.0)
    for step in range(1, 20):
        losses, grads = draw.uniform(0.1, 10.0, 3), draw.standard_normal((3, 5)) * [[1.0], [1e3], [1e-3]]
        decay = 0.9 / step**0.5
        average = decay * average + (1.0 - decay) * grads / losses[:, None]
        norms = [np.linalg.norm(row) for row in average]
        expected = sum(max(norms) / norm * row for norm, row in zip(norms, average, strict=True))
        np.testing.assert_allclose(method.step(np.ones(3), grads=average) @ average, expected, rtol=1e-12)


def test_db_mtl_averages_norms_as_the_paper_averages_gradients_of_one_direction():
    """There, the norm of the average is the average of the norms."""
    draw, average = np.random.default_rng(1), np.zeros(4)
    method = DBMTL(4, beta=0.7, decay_power=0.5)
    for step in range(1, 30):
        losses, norms = draw.uniform(0.1, 10.0, 4), 10.0 ** draw.uniform(-3, 3, 4)
        decay = 0.7 / step**0.5
        average = decay * average + (1.0 - decay) * norms / losses
        np.testing.assert_allclose(method.step(losses, norms=norms), average.max() / average / losses, rtol=1e-12)


@QUICK
@given(matrices(), st.sampled_from([1e-100, 1.0, 1e100]), st.integers(0, 100))
def test_db_mtls_weighted_gradients_have_one_length(rows, scale, seed):
    rows = rows[units(rows)[0] > 0.0]
    losses = scale * 10.0 ** np.random.default_rng(seed).uniform(-6, 6, len(rows))
    norms = units(rows)[0]
    weights = weights_if_finite(DBMTL(beta=0.0), losses, grads=rows)
    if weights is None:
        assert norms.max() / losses.min() / norms.min() * norms.max() > 1e200
        return
    lengths = weights * norms
    np.testing.assert_allclose((lengths / lengths.max()).astype(float), 1.0, rtol=1e-12)
    longest = (norms / losses).max()
    np.testing.assert_allclose(float(lengths[0] / longest), 1.0, rtol=1e-12)


# --- Losses and deviations


LOSS_METHODS = {
    "uncertainty": {"update": "closed"},
    "uw-so": {},
    "dwa": {},
    "famo": {},
    "stch": {},
}


@pytest.mark.parametrize("name", LOSS_METHODS)
@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e-12, 1.0, 1e12, 1e150, 1e300])
@pytest.mark.parametrize("ratio", [1.0, 1e-3, 1e-12])
def test_methods_of_losses_have_finite_weights_or_say_for_what_they_have_none(name, scale, ratio):
    method = make_method(name, names=("a", "b", "c"), **LOSS_METHODS[name])
    for step in range(4):
        losses = np.array([1.0, ratio, ratio**0.5]) * scale * 0.9**step
        weights = weights_if_finite(method, losses)
        if weights is None:  # 1 / L overflows
            assert (name, scale, ratio) in (("uncertainty", 1e-300, 1e-12), ("uw-so", 1e-300, 1e-12))
            return
        assert np.isfinite(weights).all()
        assert (weights >= 0.0).all()
        assert weights.any()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("ratio", [1.0, 1e-3, 1e-7])
def test_deviations_are_balanced_at_any_scale(scale, ratio):
    stds = np.array([1.0, ratio, ratio**0.5]) * scale
    weighted = make_method("std").step(stds=stds) * stds
    np.testing.assert_allclose(weighted / weighted[0], 1.0, rtol=1e-12)


@given(st.floats(1e-300, 1e300), st.sampled_from(["regression", "classification", "laplace", "liebel"]))
@QUICK
def test_closed_uncertainty_is_stationary_for_any_loss(loss, kind):
    """The weight times the loss is 1/2, 1/2 and 1; for "liebel" w L = 2 / (1 + sqrt(1 + 8 / L))."""
    method = make_method("uncertainty", 1, kind=kind, update="closed")
    expected = {"regression": 0.5, "classification": 0.5, "laplace": 1.0, "liebel": 2.0 / (1.0 + np.sqrt(1.0 + 8.0 / loss))}[kind]
    assert method.step([loss])[0] * loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_rates_of_the_info_are_those_of_the_weights(scale):
    method = make_method("config")
    weights = method.step(grads=OF_ONE_SCALE * scale)
    np.testing.assert_allclose(method.info["rates"], np.asarray(rates(OF_ONE_SCALE * scale, weights), float), rtol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1e77, 1e-77])
def test_a_weight_that_has_no_part_in_the_sum_may_be_below_the_range_of_float64(scale):
    """The rate of the second task is 100 times that of the first, its weight 100^-99 of the other. It was an error at 1e77."""
    weights = FairGrad(2, alpha=99.0).step(grads=[[scale], [100.0 * scale]])
    assert weights[0] == pytest.approx(scale ** (-2.0 * 99.0 / 100.0), rel=1e-9)
    assert weights[1] <= 1.001e-198 * weights[0]

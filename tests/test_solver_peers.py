"""Our solvers against TorchJD's weightings of the same Gram matrix, where torch and TorchJD are installed.

Broken on purpose: ConFIG without the tasks' norms or without its length -> test_config_is_torchjds_direction red; its
singular values kept down to 1e-9 -> this one, and test_config_does_not_resolve red.
"""

import importlib

import numpy as np
import pytest

from fastars import kernels

torchjd = pytest.importorskip("torchjd.aggregation", reason="TorchJD is not installed: pip install torchjd quadprog qpsolvers")
import torch  # noqa: E402

SHAPES = [(2, 5), (3, 50), (5, 7), (8, 100), (16, 64)]


def weighting(name, *args, **kwargs):
    """TorchJD's weighting as a function of arrays, or a skipped test that says what is missing."""
    try:
        made = getattr(torchjd, name)(*args, **kwargs)
    except ImportError as error:
        pytest.skip(str(error))
    return lambda matrix: made(torch.from_numpy(matrix)).numpy()


def dual_weighting(name, *args):
    """TorchJD's weighting with as little added to the diagonal as its solver needs; by default that is 1e-4 of the trace."""
    try:
        projector = importlib.import_module("torchjd.linalg").QuadprogProjector(norm_eps=0.0, reg_eps=1e-14)
    except ImportError as error:
        pytest.skip(str(error))
    return weighting(name, *args, projector=projector)


def jacobians(n_seeds=20):
    for shape in SHAPES:
        for seed in range(n_seeds):
            yield np.random.default_rng(seed).standard_normal(shape)


def mean(n_tasks):
    return np.full(n_tasks, 1.0 / n_tasks)


EXACT = {
    "IMTLGWeighting": kernels.imtl_g,
    "AlignedMTLWeighting": kernels.aligned_mtl,
}
DUAL = {"UPGradWeighting": kernels.upgrad, "DualProjWeighting": kernels.dual_proj}


@pytest.mark.parametrize("name", EXACT)
def test_weights_are_those_of_torchjd(name):
    theirs = weighting(name)
    for jacobian in jacobians():
        gram = jacobian @ jacobian.T
        np.testing.assert_allclose(EXACT[name](gram), theirs(gram), atol=1e-10)


@pytest.mark.parametrize("name", DUAL)
@pytest.mark.parametrize("largest_ratio", [1.0, 100.0])
def test_dual_weights_are_those_of_torchjd(name, largest_ratio):
    """Theirs are the weights of a matrix with 1e-14 of the trace on its diagonal, which counts 1e4 times as much at ratio 100."""
    for jacobian in jacobians(5):
        draw = np.random.default_rng(0)
        jacobian = jacobian * largest_ratio ** -draw.uniform(0.0, 1.0, (len(jacobian), 1))
        gram = jacobian @ jacobian.T
        for preference in (mean(len(gram)), draw.uniform(0.0, 1.0, len(gram))):
            theirs = dual_weighting(name, torch.from_numpy(preference))
            np.testing.assert_allclose(DUAL[name](gram, preference), theirs(gram), rtol=1e-9)


def test_mgdas_combination_is_no_longer_than_torchjds():
    """Which Frank and Wolfe's method approaches in 100 steps."""
    theirs, ratios = weighting("MGDAWeighting"), []
    for jacobian in jacobians():
        gram = jacobian @ jacobian.T
        ours, other = kernels.mgda(gram), theirs(gram)
        ratios.append((other @ gram @ other) / (ours @ gram @ ours))
    assert min(ratios) >= 1.0 - 1e-12
    assert max(ratios) > 1.05


def test_pcgrad_of_two_tasks_is_that_of_torchjd():
    theirs = weighting("PCGradWeighting")
    for seed in range(20):
        jacobian = np.random.default_rng(seed).standard_normal((2, 5))
        gram = jacobian @ jacobian.T
        np.testing.assert_allclose(kernels.pcgrad(gram, np.array([[0, 1], [1, 0]])), theirs(gram), atol=1e-12)


def test_pcgrad_in_torchjds_order():
    """TorchJD draws a permutation for each task; from the same seed we take the same ones."""
    theirs = weighting("PCGradWeighting")
    for jacobian in jacobians(3):
        torch.manual_seed(5)
        order = np.array([torch.randperm(len(jacobian)).numpy() for _ in jacobian])
        torch.manual_seed(5)
        gram = jacobian @ jacobian.T
        np.testing.assert_allclose(kernels.pcgrad(gram, order), theirs(gram), rtol=1e-12)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_fairgrad_is_near_torchjds_least_squares(alpha):
    theirs = weighting("FairGradWeighting", alpha)
    for jacobian in jacobians(2):
        gram = jacobian @ jacobian.T
        np.testing.assert_allclose(kernels.fairgrad(gram, alpha), theirs(gram), rtol=1e-3)


def test_cagrad_serves_the_worst_task_no_worse_than_torchjds():
    """Whose solver stops 1e-5 from the optimum."""
    theirs = weighting("CAGradWeighting", c=0.5)
    for jacobian in jacobians(2):
        gram = jacobian @ jacobian.T
        ours, other = kernels.cagrad(gram, 0.5), theirs(gram)
        np.testing.assert_allclose(ours, other, atol=1e-3)
        assert (gram @ ours).min() >= (gram @ other).min() - 1e-6 * np.trace(gram)


def test_nash_mtl_is_torchjds_before_it_is_shortened():
    for seed in range(3):
        jacobian = np.random.default_rng(seed).standard_normal((3, 50))
        try:
            theirs = torchjd.NashMTL(n_tasks=3, max_norm=0.0).weighting
        except ImportError as error:
            pytest.skip(str(error))
        other = theirs(torch.from_numpy(jacobian)).numpy()
        ours = kernels.nash_mtl(jacobian @ jacobian.T)
        np.testing.assert_allclose(other / np.linalg.norm(other), ours / np.linalg.norm(ours), rtol=1e-4)


def test_config_is_torchjds_direction():
    """Of random gradients, whose norms differ by 1e6, or which depend on each other."""
    theirs = torchjd.ConFIG()
    for n_dependent in (0, 1, 2):
        for jacobian in jacobians(5):
            if n_dependent >= len(jacobian):
                continue
            jacobian = jacobian * 10.0 ** np.random.default_rng(0).uniform(-6, 0, (len(jacobian), 1))
            if n_dependent:
                mixture = np.random.default_rng(1).standard_normal((n_dependent, len(jacobian) - n_dependent))
                jacobian[-n_dependent:] = mixture @ jacobian[:-n_dependent]
            ours, other = kernels.config(jacobian @ jacobian.T) @ jacobian, theirs(torch.from_numpy(jacobian)).numpy()
            np.testing.assert_allclose(ours, other, rtol=0, atol=1e-10 * max(np.linalg.norm(other), np.linalg.norm(ours)))


def test_config_does_not_resolve_singular_values_below_1e_6_as_torchjd_does():
    """Three gradients within 1e-8 of a plane: theirs leaves it, for cosines that are equal and small. Ours serves all three."""
    jacobian = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 1e-8]])
    ours, theirs = kernels.config(jacobian @ jacobian.T) @ jacobian, torchjd.ConFIG()(torch.from_numpy(jacobian)).numpy()
    assert np.abs(theirs[:2]).max() < 1e-6 * np.abs(theirs[2])
    assert (jacobian @ ours).min() > 0.5 * np.linalg.norm(ours)

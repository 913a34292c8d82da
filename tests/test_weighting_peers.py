"""GradNorm and the methods of losses against gradnorm-pytorch, TorchJD and LibMTL's formula, where torch and they are installed."""

import numpy as np
import pytest

from fastars.kernels import bounded_weights, gradnorm_gradient
from fastars.weighting import FAMO, STCH, DynamicWeightAverage, GradNorm, UncertaintyWeighting

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")


def problem(n_tasks=3, n_weights=5):
    """Losses (a_i . theta)^2 / 2 + 1 as a function of theta, and a walk of theta."""
    draw = np.random.default_rng(0)
    a = draw.standard_normal((n_tasks, n_weights)) * 10.0 ** draw.uniform(-0.5, 0.5, (n_tasks, 1))
    walk = draw.standard_normal(n_weights) + 0.05 * draw.standard_normal((300, n_weights)).cumsum(axis=0)
    return torch.from_numpy(a), walk


def losses_and_norms(a, theta):
    product = a.numpy() @ theta
    return product**2 / 2 + 1, np.abs(product) * np.linalg.norm(a.numpy(), axis=1)


def walked_losses(n_steps=100):
    a, walk = problem()
    return [losses_and_norms(a, theta)[0] for theta in walk[:n_steps]]


@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_descent_on_the_weights_is_that_of_gradnorm_pytorch_with_the_other_sign_of_alpha(alpha):
    """Which divides the L1 norm by T, lets weights be negative, and has targets mean(G) r^-alpha (its version 0.2.3)."""
    peer = pytest.importorskip("gradnorm_pytorch", reason="gradnorm-pytorch is not installed: pip install gradnorm-pytorch")
    rate, (a, walk) = 0.01, problem()
    parameter = torch.nn.Parameter(torch.zeros(5, dtype=torch.float64))
    theirs = peer.GradNormLossWeighter(
        loss_weights=torch.ones(3, dtype=torch.float64),
        learning_rate=3 * rate,
        restoring_force_alpha=alpha,
        grad_norm_parameters=parameter,
    ).double()
    weights, initial, farthest = np.ones(3), None, 0.0
    for theta in walk[:200]:
        parameter.data = torch.from_numpy(theta.copy())
        theirs((a @ parameter) ** 2 / 2 + 1)
        losses, norms = losses_and_norms(a, theta)
        initial = losses if initial is None else initial
        weights = weights - rate * gradnorm_gradient(weights, norms, losses / initial, -alpha)
        weights *= 3 / np.abs(weights).sum()
        np.testing.assert_allclose(weights, theirs.loss_weights.detach().numpy(), rtol=0, atol=1e-12)
        farthest = max(farthest, np.abs(weights - 1).max())
    assert farthest > 0.5


@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_softmax_update_is_libmtls(alpha):
    """Autograd on L_grad with w = T softmax(v), the gradients' norms being differentiable, and Adam."""
    a, walk = problem()
    v = torch.ones(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([v], lr=0.025)
    method, initial = GradNorm(3, alpha=alpha, update="softmax", min_weight=0.0), None
    for theta in walk:
        parameter = torch.tensor(theta, requires_grad=True)
        losses = (a @ parameter) ** 2 / 2 + 1
        initial = losses.detach() if initial is None else initial
        weights = 3 * torch.softmax(v, dim=-1)
        norms = torch.stack(
            [torch.autograd.grad(w * loss, parameter, create_graph=True)[0].norm() for w, loss in zip(weights, losses, strict=True)]
        )
        ratios = losses.detach() / initial
        targets = (norms.mean() * (ratios / ratios.mean()) ** alpha).detach()
        optimizer.zero_grad()
        (norms - targets).abs().sum().backward()
        optimizer.step()
        ours, norms = losses_and_norms(a, theta)
        np.testing.assert_allclose(method.step(ours, norms=norms), weights.detach().numpy(), rtol=0, atol=1e-12)
    assert np.abs(method.weights - 1).max() > 0.5


@pytest.mark.parametrize("scale", [1.0, 1e-5])
@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_paper_update_is_adam_on_the_imbalance(alpha, scale):
    """Algorithm 1 by autograd: weights are clamped and scaled to the sum T after each step of torch's Adam."""
    a, walk = problem()
    weights = torch.ones(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr=0.025)
    ours, initial, farthest = GradNorm(3, alpha, update="paper", min_weight=0.1), None, 0.0
    for theta in walk:
        losses, norms = losses_and_norms(a, theta)
        norms = scale * norms
        np.testing.assert_allclose(ours.step(losses, norms=norms), weights.detach().numpy(), rtol=0, atol=1e-12)
        initial = losses if initial is None else initial
        rates = losses / initial / (losses / initial).mean()
        weighted = weights * torch.from_numpy(norms)
        targets = (weighted.mean() * torch.from_numpy(rates**alpha)).detach()
        optimizer.zero_grad()
        (weighted - targets).abs().sum().backward()
        optimizer.step()
        with torch.no_grad():
            weights.clamp_(min=0.1)
            weights *= 3 / weights.sum()
            weights.copy_(torch.from_numpy(bounded_weights(weights.numpy(), 0.1, 3.0)))
        farthest = max(farthest, np.abs(ours.weights - 1).max())
    assert farthest > 0.3


@pytest.mark.parametrize("update", ["sgd", "adam"])
def test_uncertainty_weighting_is_torchjds(update):
    scalarization = pytest.importorskip("torchjd.scalarization", reason="TorchJD is not installed: pip install torchjd")
    theirs = scalarization.UW(3).double()
    optimizer = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[update](theirs.parameters(), lr=0.05)
    ours = UncertaintyWeighting(3, update=update, learning_rate=0.05)
    for losses in walked_losses():
        values = torch.tensor(losses, requires_grad=True)
        optimizer.zero_grad()
        total = theirs(values)
        total.backward()
        np.testing.assert_allclose(ours.step(losses=losses), values.grad.numpy(), rtol=0, atol=1e-12)
        assert ours.info["total"] == pytest.approx(total.item(), abs=1e-12)
        optimizer.step()


def test_famo_is_torchjds_on_losses_without_batches():
    """There the losses after a step are those before the next one."""
    scalarization = pytest.importorskip("torchjd.scalarization", reason="TorchJD is not installed: pip install torchjd")
    theirs, ours = scalarization.FAMO(3, min_losses=torch.tensor([0.5, 0.0, -1.0])).double(), FAMO(lower_bounds=[0.5, 0.0, -1.0])
    for step, losses in enumerate(walked_losses()):
        values = torch.tensor(losses, requires_grad=True)
        if step > 0:
            theirs.update(values)
        theirs(values).backward()
        np.testing.assert_allclose(ours.step(losses=losses), values.grad.numpy(), rtol=0, atol=1e-12)
    assert np.abs(ours.info["xi"]).max() > 0.1


def test_dynamic_weight_average_is_torchjds():
    scalarization = pytest.importorskip("torchjd.scalarization", reason="TorchJD is not installed: pip install torchjd")
    theirs, ours = scalarization.DWA(), DynamicWeightAverage()
    for losses in walked_losses():
        values = torch.tensor(losses, requires_grad=True)
        theirs(values).backward()
        theirs.step()
        np.testing.assert_allclose(ours.step(losses=losses), values.grad.numpy(), rtol=0, atol=1e-12)


def test_smooth_tchebycheff_is_torchjds():
    scalarization = pytest.importorskip("torchjd.scalarization", reason="TorchJD is not installed: pip install torchjd")
    preference, reference = [0.2, 0.5, 0.3], [0.0, 0.5, -1.0]
    theirs = scalarization.STCH(0.3, torch.tensor(preference, dtype=torch.float64), torch.tensor(reference, dtype=torch.float64))
    ours = STCH(mu=0.3, preference=preference, reference=reference)
    equal, ours_equal = scalarization.STCH(0.3), STCH(mu=0.3)
    for losses in walked_losses(20):
        for one, other in ((theirs, ours), (equal, ours_equal)):
            values = torch.tensor(losses, requires_grad=True)
            one(values).backward()
            np.testing.assert_allclose(other.step(losses=losses), values.grad.numpy(), rtol=0, atol=1e-12)


def test_gradients_of_torch_are_taken_as_they_are():
    a, walk = problem()
    parameter = torch.tensor(walk[0], requires_grad=True)
    losses = (a @ parameter) ** 2 / 2 + 1
    grads = [torch.autograd.grad(loss, parameter, retain_graph=True)[0] for loss in losses]
    plain, norms = losses_and_norms(a, walk[0])
    ours, theirs = GradNorm(3), GradNorm(3)
    for given in (losses.detach(), losses, list(losses), [loss.item() for loss in losses]):  # in the graph and out of it
        ours.step(given, grads=grads)
        theirs.step(plain, norms=norms)
    np.testing.assert_allclose(ours.weights, theirs.weights, rtol=1e-12)


def test_gradients_of_torch_may_be_in_a_graph():
    rows = torch.tensor([[3.0, 4.0], [0.0, 1.0]], requires_grad=True)
    for grads in (rows, [rows[0] * 1, rows[1] * 1], tuple(rows)):
        method = GradNorm(2, 0.0)
        method.step(grads=grads)
        assert method.info["norms"].tolist() == [5.0, 1.0]

"""Tensors of PyTorch in the weighting methods, and `Method.backward` against TorchJD, where torch and TorchJD are installed.

Broken on purpose, one at a time: weights on the gradients of heads -> test_the_trunk_gets_the_weighted_sum_... red for all
methods; a stacked tensor of losses taken as one graph -> test_gradients_are_torchjds[constant-True] red; gradients put into
`.grad` without a copy -> test_an_expanded_gradient_can_be_added_to red; the method's state not restored ->
test_a_graph_that_is_gone_changes_nothing[True-dwa] red; the graph freed after the first task, or `.grad` replaced ->
test_gradients_are_torchjds[constant-...] red; masked tasks not left out -> test_a_masked_task_... red.
Gradients not turned on inside, sparse ones neither read nor added, the negative bit kept, and parameters without a gradient
accepted by methods that need losses alone -> the last six tests red, each for its own.
"""

import copy
import importlib

import numpy as np
import pytest

from fastars import weighting
from fastars.weighting import IMTLG, MGDA, Fixed, GradNorm, NashMTL, Uniform, UPGrad, make_method

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")

DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
LOSSES, GRADS = [2.0, 0.5], [[3.0, 4.0], [0.0, 1.0]]


class Model(torch.nn.Module):
    """A trunk and a head for each task, in float64."""

    def __init__(self, n_tasks=3, dtype=torch.float64):
        super().__init__()
        torch.manual_seed(0)
        self.trunk = torch.nn.Sequential(torch.nn.Conv1d(1, 3, 3), torch.nn.Flatten(), torch.nn.Linear(18, 5), torch.nn.Tanh())
        self.heads = torch.nn.ModuleList(torch.nn.Linear(5, 2) for _ in range(n_tasks))
        self.inputs, self.targets = torch.randn(7, 1, 8), torch.randn(n_tasks, 7, 2)
        self.to(dtype)
        self.inputs, self.targets = self.inputs.to(dtype), self.targets.to(dtype)

    def losses(self):
        """A list of losses and the features; one loss is a hundred times the others."""
        features = self.trunk(self.inputs)
        pairs = zip(self.heads, self.targets, strict=True)
        scales = [1.0, 100.0, 3.0, 0.1, 7.0]
        return [scale * ((head(features) - y) ** 2).mean() for scale, (head, y) in zip(scales, pairs, strict=False)], features

    def grads(self):
        return {name: None if p.grad is None else p.grad.clone() for name, p in self.named_parameters()}


def gradient(loss, parameters):
    return torch.autograd.grad(loss, list(parameters), retain_graph=True, allow_unused=True)


def assert_equal(found, expected, rtol=1e-10):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if value is None:
            assert found[name] is None, name
        else:
            torch.testing.assert_close(found[name], value, rtol=rtol, atol=1e-13, msg=lambda text, name=name: f"{name}: {text}")


def unchanged(method, model):
    """A function that asserts that neither the method nor any gradient has changed since."""
    state, grads = copy.deepcopy(method.state_dict()), model.grads()

    def check():
        assert repr(method.state_dict()) == repr(state)
        assert_equal(model.grads(), grads, rtol=0)

    return check


# --- Tensors in, a tensor out


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_are_a_tensor_like_the_losses(dtype):
    """And constants: the gradient of the weighted sum is the weighted sum of the gradients."""
    parameter = torch.ones(2, dtype=dtype, requires_grad=True)
    rows = torch.tensor(GRADS, dtype=dtype)
    losses = rows @ parameter
    method, plain = GradNorm(2, update="closed"), GradNorm(2, update="closed")
    for _ in range(2):
        weights = method.step(losses, grads=rows)
        expected = plain.step(losses.detach().double().numpy(), grads=GRADS)
    assert weights.dtype == losses.dtype
    assert weights.device == losses.device
    assert weights.requires_grad is False
    np.testing.assert_array_equal(weights.double().numpy(), torch.tensor(expected, dtype=dtype).double().numpy())
    assert expected[0] != expected[1]
    (weights * losses).sum().backward()
    torch.testing.assert_close(parameter.grad, weights @ rows)


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        ({"losses": [torch.tensor(2.0), torch.tensor(0.5)], "norms": [5.0, 1.0]}, torch.float32),
        ({"losses": (torch.tensor(2.0).half(), torch.tensor(0.5).bfloat16()), "norms": [5.0, 1.0]}, torch.float32),
        ({"losses": [2.0, torch.tensor(0.5).double()], "norms": [5.0, 1.0]}, torch.float64),
        ({"losses": torch.tensor([2, 1]), "norms": [5.0, 1.0]}, torch.float32),
        ({"losses": LOSSES, "grads": torch.tensor(GRADS).bfloat16()}, torch.bfloat16),
        ({"losses": LOSSES, "grads": [[torch.tensor([3.0]), torch.tensor([[4.0]])], [None, torch.tensor(1.0)]]}, torch.float32),
        ({"losses": LOSSES, "norms": torch.tensor([5.0, 1.0]).half()}, torch.float16),
        ({"losses": LOSSES, "gram": torch.tensor([[25.0, 4.0], [4.0, 1.0]]).double()}, torch.float64),
        ({"losses": torch.nn.Parameter(torch.tensor(LOSSES)), "norms": np.array([5.0, 1.0])}, torch.float32),
        ({"losses": np.array(LOSSES), "norms": [5.0, 1.0]}, None),
    ],
)
def test_the_first_input_of_tensors_decides(given, dtype):
    method, plain = GradNorm(2), GradNorm(2)
    method.step(**given)
    weights = method.step(**given)
    losses = [float(torch.as_tensor(loss).detach()) for loss in given["losses"]]
    plain.step(losses, norms=[5.0, 1.0])
    np.testing.assert_allclose(method.weights[0], plain.weights[0], rtol=0.1)
    assert isinstance(weights, np.ndarray) if dtype is None else weights.dtype == dtype


def test_a_step_of_tensors_computes_as_one_of_arrays():
    rows = np.random.default_rng(0).standard_normal((3, 50)).astype(np.float32)
    for name in weighting.METHODS:
        one, other = make_method(name, 3), make_method(name, 3)
        for losses in ([1.0, 2.0, 3.0], [0.5, 1.5, 2.5]):
            given = {"stds": [1.0, 2.0, 3.0]} if "stds" in one.needs else {}
            expected = one.step(losses, grads=rows, **given)
            found = other.step(torch.tensor(losses, dtype=torch.float64), grads=torch.from_numpy(rows), **given)
            np.testing.assert_array_equal(found.numpy(), expected, err_msg=name)


def test_a_weight_that_the_dtype_can_not_hold_is_refused():
    """1e6 in float16, whose largest number is 65,504; without it the step would give infinity. bfloat16 can hold it."""
    method, small = NashMTL(2), 1e-6 * torch.eye(2)
    with pytest.raises(
        ValueError, match=r"^NashMTL\.step\(\): losses must have a dtype that can hold a weight of .*: give losses\.f"
    ):
        method.step(grads=small.half())
    assert method.n_steps == 0
    assert method.step(grads=small.bfloat16()).float()[0] == pytest.approx(1e6, rel=0.1)


def test_tensors_without_data_are_refused():
    """Those of the device "meta", which stand for a device whose numbers can't be read."""
    method, losses = GradNorm(2), torch.ones(2, device="meta")
    with pytest.raises(ValueError, match=r"^GradNorm\.step\(\): losses must be numbers: Cannot copy out of meta tensor"):
        method.step(losses, norms=[1.0, 1.0])
    parameter = torch.ones(3, device="meta", requires_grad=True)
    with pytest.raises(ValueError, match=r"^GradNorm\.backward\(\): grads must be numbers"):
        method.backward([parameter.sum(), 2 * parameter.sum()], [parameter])
    assert method.n_steps == 0
    assert parameter.grad is None


# --- Gradients parameter by parameter


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_may_come_parameter_by_parameter(dtype):
    model = Model(2, dtype)
    losses, _ = model.losses()
    parts = [gradient(loss, model.trunk.parameters()) for loss in losses]
    names = [name for name, _ in model.trunk.named_parameters()]
    whole = [torch.cat([part.reshape(-1) for part in of_task]) for of_task in parts]
    expected = MGDA(2).step(grads=whole)
    for grads in (parts, [list(of_task) for of_task in parts], [dict(zip(names, of_task, strict=True)) for of_task in parts]):
        found = MGDA(2).step(grads=grads)
        assert found.dtype == dtype
        torch.testing.assert_close(found, expected)


def test_a_parameter_that_a_task_does_not_use_counts_as_zeros():
    first, second = torch.tensor([3.0, 4.0], requires_grad=True), torch.ones(2, 2, requires_grad=True)
    losses = [first.sum() + second.sum(), 2 * first.sum()]
    grads = [gradient(loss, [first, second]) for loss in losses]
    assert grads[1][1] is None
    method = GradNorm(2, alpha=0.0)
    method.step(grads=grads)
    np.testing.assert_allclose(method.info["norms"], [np.sqrt(6), np.sqrt(8)])


# --- backward: .grad is what the method says


def torchjd_aggregators():
    """(our method, a function that makes TorchJD's aggregator, number of tasks, rtol) by name."""
    torchjd = pytest.importorskip("torchjd.aggregation", reason="TorchJD is not installed: pip install torchjd quadprog qpsolvers")

    def dual(cls):
        projector = importlib.import_module("torchjd.linalg").QuadprogProjector(norm_eps=0.0, reg_eps=1e-14)
        return cls(projector=projector)

    return {
        "sum": (Uniform(), torchjd.Sum, 3, 1e-10),
        "constant": (
            Fixed(constants=[0.5, -1.0, 2.0]),
            lambda: torchjd.Constant(torch.tensor([0.5, -1.0, 2.0]).double()),
            3,
            1e-10,
        ),
        "upgrad": (UPGrad(), lambda: dual(torchjd.UPGrad), 3, 1e-7),
        "dualproj": (make_method("dualproj"), lambda: dual(torchjd.DualProj), 3, 1e-7),
        "imtl-g": (IMTLG(), torchjd.IMTLG, 3, 1e-8),
        "aligned-mtl": (make_method("aligned-mtl"), torchjd.AlignedMTL, 3, 1e-8),
        "config": (make_method("config"), torchjd.ConFIG, 3, 1e-8),
        "mgda": (MGDA(), torchjd.MGDA, 2, 1e-8),  # in two steps from anywhere; three tasks take theirs more than its 100
        "pcgrad": (make_method("pcgrad"), torchjd.PCGrad, 2, 1e-10),  # without an order of its own
        "fairgrad": (make_method("fairgrad", alpha=1.0), lambda: torchjd.FairGrad(alpha=1.0), 3, 1e-3),
        "cagrad": (make_method("cagrad", c=0.5), lambda: torchjd.CAGrad(c=0.5), 3, 1e-2),
        "nash-mtl": (NashMTL(), lambda: torchjd.NashMTL(n_tasks=3, max_norm=0.0), 3, 1e-3),
    }


AGGREGATORS = ["sum", "constant", "upgrad", "dualproj", "imtl-g", "aligned-mtl", "config", "mgda", "pcgrad", "fairgrad", "cagrad"]


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("name", [*AGGREGATORS, "nash-mtl"])
def test_gradients_are_torchjds(name, stacked):
    """Of trunk and heads, by its `mtl_backward` and `jac_to_grad`; twice, as both add to `.grad`."""
    autojac = pytest.importorskip("torchjd.autojac", reason="TorchJD is not installed: pip install torchjd quadprog qpsolvers")
    method, make, n_tasks, rtol = torchjd_aggregators()[name]
    try:
        aggregator = make()
    except ImportError as error:
        pytest.skip(str(error))
    ours, theirs = Model(n_tasks), Model(n_tasks)
    for _ in range(2):
        losses, features = theirs.losses()
        autojac.mtl_backward(losses, features=features)
        autojac.jac_to_grad(theirs.trunk.parameters(), aggregator)
        losses, _ = ours.losses()
        method.backward(torch.stack(losses) if stacked else losses, ours.trunk.parameters())
    assert_equal(ours.grads(), theirs.grads(), rtol)


@pytest.mark.parametrize("name", ["UW", "FAMO", "DWA", "STCH"])
def test_gradients_of_the_trunk_are_those_of_torchjds_scalarizers(name):
    scalarization = pytest.importorskip("torchjd.scalarization", reason="TorchJD is not installed: pip install torchjd")
    make = {"UW": lambda: scalarization.UW(3), "FAMO": lambda: scalarization.FAMO(3), "STCH": lambda: scalarization.STCH(0.3)}
    theirs = make.get(name, scalarization.DWA)().double()
    options = {"UW": {"update": "sgd"}, "STCH": {"mu": 0.3}}.get(name, {})
    method = make_method({"UW": "uncertainty", "FAMO": "famo", "DWA": "dwa", "STCH": "stch"}[name], 3, **options)
    ours, other = Model(), Model()
    theirs(torch.stack(other.losses()[0])).backward()
    method.backward(ours.losses()[0], ours.trunk)
    expected = {name: grad for name, grad in other.grads().items() if name.startswith("trunk")}
    assert_equal({name: grad for name, grad in ours.grads().items() if name.startswith("trunk")}, expected)


@pytest.mark.parametrize("name", weighting.METHODS)
def test_the_trunk_gets_the_weighted_sum_and_each_head_its_own_gradient(name):
    """For every method, whether it needs gradients or not, in steps that update the weights and in those between them."""
    method = make_method(name, 3, update_every=2)
    if "stds" in method.needs:
        pytest.skip("std needs standard deviations of returns")
    model = Model()
    for _ in range(3):
        model.zero_grad()
        losses, _ = model.losses()
        own = [gradient(loss, head.parameters()) for loss, head in zip(losses, model.heads, strict=True)]
        rows = [gradient(loss, model.trunk.parameters()) for loss in losses]
        weights = method.backward(losses, model.trunk)
        assert weights.dtype == torch.float64
        expected = [sum(w * g for w, g in zip(weights, column, strict=True)) for column in zip(*rows, strict=True)]
        for parameter, value in zip(model.trunk.parameters(), expected, strict=True):
            torch.testing.assert_close(parameter.grad, value, rtol=1e-12, atol=1e-15)
        for head, values in zip(model.heads, own, strict=True):
            for parameter, value in zip(head.parameters(), values, strict=True):
                torch.testing.assert_close(parameter.grad, value, rtol=0, atol=0)
    assert method.n_steps == 3


def test_weights_of_backward_are_those_of_a_step():
    model, method, other = Model(), UPGrad(), UPGrad()
    losses, _ = model.losses()
    expected = other.step(losses, grads=[gradient(loss, model.trunk.parameters()) for loss in losses])
    assert torch.equal(method.backward(losses, model.trunk), expected)


def test_layers_below_the_one_that_the_method_sees_get_the_weighted_sum():
    """GradNorm looks at the last shared layer; the layers below it are trained as well."""
    ours, other = Model(), Model()
    method = GradNorm(3, alpha=0.5, update="closed")
    for _ in range(2):  # its first weights are ones
        ours.zero_grad()
        weights = method.backward(ours.losses()[0], ours.trunk[2].weight)
    assert weights[0] > 2 * weights[1]
    (weights * torch.stack(other.losses()[0])).sum().backward()
    grads, expected = ours.grads(), other.grads()
    trunk = [name for name in grads if name.startswith("trunk")]
    assert len(trunk) == 4
    assert_equal({name: grads[name] for name in trunk}, {name: expected[name] for name in trunk})


def test_the_method_may_see_the_gradients_of_the_features():
    """The upper bound of MGDA, section 3.3 of Sener & Koltun: weights from the gradients by the features."""
    ours, other = Model(), Model()
    losses, features = ours.losses()
    rows = [gradient(loss, [features])[0] for loss in losses]
    weights = MGDA().backward(losses, features)
    torch.testing.assert_close(weights, MGDA().step(grads=[row.reshape(-1) for row in rows]))
    (weights * torch.stack(other.losses()[0])).sum().backward()
    for one, another in zip(ours.trunk.parameters(), other.trunk.parameters(), strict=True):
        torch.testing.assert_close(one.grad, another.grad)


def test_losses_of_one_vector_share_their_head():
    """A head with an output for each task: no parameter is of one task alone, and all get the weighted sum."""
    torch.manual_seed(0)
    model, x, y = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2)), torch.randn(9, 4), torch.randn(9, 2)
    losses = ((model(x) - y) ** 2).mean(dim=0)
    weights = MGDA().backward(losses, model[0], retain_graph=True)
    expected = gradient((weights * losses).sum(), model.parameters())
    for parameter, value in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, value)


@pytest.mark.parametrize("dtype", DTYPES)
def test_backward_trains_in_every_dtype(dtype):
    model, method = Model(2, dtype), MGDA(2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, eps=1e-4)
    before = [loss.item() for loss in model.losses()[0]]
    for _ in range(30):
        optimizer.zero_grad()
        method.backward(model.losses()[0], model.trunk)
        assert all(parameter.grad.dtype == dtype for parameter in model.parameters())
        optimizer.step()
    assert all(loss.item() < start for loss, start in zip(model.losses()[0], before, strict=True))


# --- backward: graphs, unused parameters, masks


def test_gradients_are_added_and_the_graph_is_kept_on_demand():
    model, method = Model(), UPGrad()
    losses, _ = model.losses()
    method.backward(losses, model.trunk, retain_graph=True)
    once = model.grads()
    method.backward(losses, model.trunk)
    assert_equal(model.grads(), {name: 2 * grad for name, grad in once.items()})
    check = unchanged(method, model)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        method.backward(losses, model.trunk)
    check()


@pytest.mark.parametrize("name", ["upgrad", "gradnorm", "dwa"])
@pytest.mark.parametrize("whole", [False, True])
def test_a_graph_that_is_gone_changes_nothing(name, whole):
    model, method = Model(), make_method(name, 3)
    losses, _ = model.losses()
    sum(losses).backward()
    check = unchanged(method, model)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        method.backward(losses, model if whole else model.trunk)
    check()


def test_losses_that_are_no_numbers_change_nothing():
    model, method = Model(), UPGrad(3)
    losses, _ = model.losses()
    sum(losses).backward(retain_graph=True)
    check = unchanged(method, model)
    with pytest.raises(ValueError, match=r"^UPGrad\.backward\(\): grads must be finite"):
        method.backward([losses[0], losses[1] * float("nan"), losses[2]], model.trunk)
    check()


def test_unused_frozen_and_repeated_parameters():
    model, method = Model(2), IMTLG()
    unused, frozen = torch.ones(3, requires_grad=True), torch.ones(3)
    of_first = torch.nn.Parameter(torch.tensor(2.0).double())
    losses, _ = model.losses()
    losses[0] = losses[0] * of_first
    shared = [*model.trunk.parameters(), *model.trunk.parameters(), unused, frozen, of_first]
    rows = [gradient(loss, [*model.trunk.parameters(), of_first]) for loss in losses]
    rows = [torch.cat([torch.zeros(1).double() if g is None else g.reshape(-1) for g in row]) for row in rows]
    weights = method.backward(losses, shared)
    torch.testing.assert_close(weights, IMTLG().step(grads=rows))
    torch.testing.assert_close(of_first.grad, weights[0] * rows[0][-1])
    assert unused.grad is None
    assert frozen.grad is None


def test_a_masked_task_adds_nothing():
    model, method = Model(), UPGrad(3, mask=[True, False, True])
    losses, _ = model.losses()
    losses[1] = losses[1] * float("nan")
    weights = method.backward(losses, model.trunk, retain_graph=True)
    rows = [gradient(losses[i], model.trunk.parameters()) for i in (0, 2)]
    for parameter, first, last in zip(model.trunk.parameters(), *rows, strict=True):
        torch.testing.assert_close(parameter.grad, weights[0] * first + weights[2] * last)
    assert [head.bias.grad is None for head in model.heads] == [False, True, False]


def test_a_masked_task_needs_no_graph():
    model, method = Model(2), GradNorm(2, mask=[True, False])
    method.backward([model.losses()[0][0], torch.tensor(float("nan"))], model.trunk)
    assert all(bool(parameter.grad.isfinite().all()) for parameter in model.trunk.parameters())


def test_an_expanded_gradient_can_be_added_to():
    """The gradient of a sum is one number that stands at all places of the tensor."""
    parameter, method = torch.ones(4, requires_grad=True), Uniform(2)
    own = torch.ones(3, requires_grad=True)
    for _ in range(2):
        method.backward([parameter.sum() + own.sum(), 2 * parameter.sum()], [parameter])
    assert parameter.grad.tolist() == [6.0] * 4
    assert own.grad.tolist() == [2.0] * 3


def test_two_parameters_with_one_gradient_keep_their_own():
    one, other, method = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True), Uniform(1)
    method.backward([(one + other).prod()], [torch.ones(1, requires_grad=True), one])
    one.grad += 1
    assert other.grad.tolist() == [2.0, 2.0]


ERRORS = [
    (lambda m, losses: (losses[:2], m.trunk), ValueError, "losses must have 3 entries, one per task, got 2"),
    (
        lambda m, losses: ([losses[0], losses[1].detach(), losses[2]], m.trunk),
        ValueError,
        "losses must be in a graph, and task 'b' is",
    ),
    (lambda m, losses: (sum(losses), m.trunk), ValueError, r"losses must have shape \(T,\), got \(\)"),
    (
        lambda m, losses: ([losses[0], 1.0, losses[2]], m.trunk),
        TypeError,
        "losses must be tensors of PyTorch, got a float for task 1",
    ),
    (lambda m, losses: (np.ones(3), m.trunk), TypeError, "losses must be tensors of PyTorch, got a float64 for task 0"),
    (lambda m, losses: (1.0, m.trunk), TypeError, r"losses must be a tensor \(T,\) or a sequence of T tensors of PyTorch, got 1.0"),
    (lambda m, losses: ([losses[0], m.inputs, losses[2]], m.trunk), ValueError, r"got shape \(7, 1, 8\) for task 1"),
    (
        lambda m, losses: (losses, m.trunk.named_parameters()),
        TypeError,
        "shared_parameters must be tensors or a module, got a tuple",
    ),
    (lambda m, losses: (losses, None), TypeError, "shared_parameters must be tensors or a module, got None"),
    (lambda m, losses: (losses, [m.inputs]), ValueError, "shared_parameters must have a tensor that requires a gradient; got 1"),
    (lambda m, losses: (losses, []), ValueError, "shared_parameters must have a tensor that requires a gradient; got 0"),
    (
        lambda m, losses: (losses, Model().trunk),
        ValueError,
        "shared_parameters must be in the graph of a loss, and none of them is",
    ),
]


@pytest.mark.parametrize(("given", "kind", "message"), ERRORS)
def test_wrong_arguments_are_named(given, kind, message):
    model, method = Model(), UPGrad(names=("a", "b", "c"))
    check = unchanged(method, model)
    with pytest.raises(kind, match=rf"^UPGrad\.backward\(\): .*{message}"):
        method.backward(*given(model, model.losses()[0]))
    check()


# --- Where `loss.backward()` works, and gradients of other layouts


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("is_stacked", [False, True])
def test_backward_works_where_gradients_are_off(context, is_stacked):
    inside, outside = Model(), Model()
    losses = inside.losses()[0]
    losses = torch.stack(losses) if is_stacked else losses
    with context():
        UPGrad(3).backward(losses, inside.trunk)
    UPGrad(3).backward(outside.losses()[0], outside.trunk)
    assert_equal(inside.grads(), outside.grads())
    assert not any(p.grad.is_inference() for p in inside.parameters())  # which nothing could change in place later


@pytest.mark.parametrize("name", ["famo", "upgrad"])
def test_sparse_gradients_of_an_embedding_are_those_of_a_dense_one(name):
    found = []
    for is_sparse in (False, True):
        torch.manual_seed(0)
        table, method = torch.nn.Embedding(9, 3, sparse=is_sparse), make_method(name, 2)
        for _ in range(2):  # the second time `.grad` is there
            rows = table(torch.tensor([1, 2, 2]))
            weights = method.backward([rows.square().sum(), (rows.sum() - 5.0) ** 2 + 1.0], table)
        assert table.weight.grad.is_sparse == is_sparse
        found.append((weights, table.weight.grad.to_dense()))
    torch.testing.assert_close(found[1], found[0])


@pytest.mark.parametrize("first", ["dense", "sparse"])
def test_a_parameter_may_have_a_sparse_gradient_of_one_task_and_a_dense_one_of_the_other(first):
    def gradients(is_sparse):
        torch.manual_seed(0)
        table = torch.nn.Parameter(torch.randn(9, 3))
        rows = torch.nn.functional.embedding(torch.tensor([1, 2]), table, sparse=is_sparse)
        losses = [table.square().sum(), rows.sum()]
        UPGrad(2).backward(losses if first == "dense" else losses[::-1], table)
        UPGrad(1).backward([torch.nn.functional.embedding(torch.tensor([0]), table, sparse=is_sparse).sum()], table)
        return table.grad.to_dense()

    torch.testing.assert_close(gradients(is_sparse=True), gradients(is_sparse=False))


def test_a_dense_gradient_is_added_to_a_sparse_one():
    table = torch.nn.Parameter(torch.ones(4, 2))
    for is_sparse in (True, False):
        rows = torch.nn.functional.embedding(torch.tensor([1]), table, sparse=is_sparse)
        UPGrad(1).backward([rows.sum()], table)
    assert table.grad.to_dense().tolist() == [[0, 0], [2, 2], [0, 0], [0, 0]]


def test_a_view_with_the_negative_bit_has_its_own_numbers():
    view = torch.tensor([1 - 3j, 2 - 1j]).conj().imag
    assert view.is_neg()
    assert UPGrad(2).step(grads=[view, view]).tolist() == UPGrad(2).step(grads=[[3.0, 1.0]] * 2).tolist()


@pytest.mark.parametrize("name", ["famo", "uniform", "upgrad"])
def test_parameters_that_no_loss_uses_are_refused_by_all_methods(name):
    model, other, method = Model(), Model(), make_method(name, 3)
    check = unchanged(method, model)
    with pytest.raises(ValueError, match=r"backward\(\): shared_parameters must be in the graph of a loss"):
        method.backward(model.losses()[0], other.trunk)
    check()

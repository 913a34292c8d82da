"""Fill `.grad` of PyTorch parameters with the combination of the tasks' gradients that a weighting method chooses."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from fastars.weighting.step import task_label
from fastars.weighting.tensors import imported_torch

_JOINING = ("StackBackward0", "CatBackward0")  # nodes of torch.stack and torch.cat, which keep the graphs of their inputs apart


class _Plan(NamedTuple):
    """The tensors to differentiate by, and how."""

    rows: list[Any]  # the method sees the gradient of each task
    own: list[list[Any]]  # for each task, the parameters that it alone uses: its gradient as it is
    summed: list[Any]  # the gradient of the weighted sum


def backward(method: Any, losses: Any, shared_parameters: Any, retain_graph: bool) -> Any:
    """Add gradients to `.grad` and return the weights. `Method.backward`, which calls it, describes the arguments."""
    torch = imported_torch()
    if torch is None:
        raise TypeError(f"losses must be tensors of PyTorch, got a {type(losses).__name__}; step() takes arrays of any framework")
    with torch.inference_mode(False), torch.enable_grad():  # the caller may be under no_grad, as for loss.backward()
        return _backward(torch, method, losses, shared_parameters, retain_graph)


def _backward(torch: Any, method: Any, losses: Any, shared_parameters: Any, retain_graph: bool) -> Any:
    scalars, nodes = _tasks(torch, losses)
    active = _taking_part(method, nodes)
    needs_rows = method.is_due and not {"norms", "gram"}.isdisjoint(method.needs)
    shared = _tensors(torch, shared_parameters)
    plan = _plan(nodes, shared, needs_rows)
    rows, own = _gradients(torch, scalars, active, plan, retain_graph)
    if needs_rows:
        _refuse_unused(gradient for row in rows for gradient in row)
    before = dict(vars(method))  # a step puts other values in their places, and changes none of these
    weights = method.step(scalars, grads=rows if needs_rows else None)
    numbers = weights.tolist()
    try:
        summed = _weighted_sum(torch, [scalars[i] for i in active], [numbers[i] for i in active], plan.summed, retain_graph)
        if not needs_rows:
            _refuse_unused(summed[-len(shared) :])
    except BaseException:  # the graph is gone, perhaps
        vars(method).update(before)
        raise
    with torch.no_grad():
        for tensor, *gradients in zip(plan.rows, *rows, strict=True):
            weighted = [weight * gradient for weight, gradient in zip(numbers, gradients, strict=True) if gradient is not None]
            _accumulate([tensor], [functools.reduce(_sum, weighted) if weighted else None])
        for tensors, found in zip([*plan.own, plan.summed], [*own, summed], strict=True):
            _accumulate(tensors, found)
    return weights


def _tasks(torch: Any, losses: Any) -> tuple[list[Any], list[Any]]:
    """Return (T tensors without a dimension, T nodes of their graphs, None without a graph)."""
    is_vector = isinstance(losses, torch.Tensor)
    if not is_vector and not isinstance(losses, Iterable):
        raise TypeError(f"losses must be a tensor (T,) or a sequence of T tensors of PyTorch, got {losses!r}")
    if is_vector and losses.ndim != 1:
        raise ValueError(f"losses must have shape (T,), got {tuple(losses.shape)}")
    entries = list(losses)
    for i, entry in enumerate(entries):
        if not isinstance(entry, torch.Tensor):
            raise TypeError(f"losses must be tensors of PyTorch, got a {type(entry).__name__} for task {i}")
        if entry.numel() != 1:
            raise ValueError(f"losses must have one number for each task, got shape {tuple(entry.shape)} for task {i}")
    if not entries:
        raise ValueError("losses must have an entry for each task, got none")
    joined: Any = losses.grad_fn if is_vector else None
    if type(joined).__name__ in _JOINING and len(joined.next_functions) == len(entries):
        nodes = [node for node, _ in joined.next_functions]
    else:
        nodes = [torch.autograd.graph.get_gradient_edge(entry).node if entry.requires_grad else None for entry in entries]
    return [entry.reshape(()) for entry in entries], nodes


def _taking_part(method: Any, nodes: list[Any]) -> list[int]:
    """Return the tasks that take part, each of which must have a graph."""
    n_tasks = len(nodes)
    if method.n_tasks not in (None, n_tasks):
        raise ValueError(f"losses must have {method.n_tasks} entries, one per task, got {n_tasks}")
    mask = method.mask.tolist() or [True] * n_tasks
    active = [i for i in range(n_tasks) if mask[i]]
    for i in active:
        if nodes[i] is None:
            label = task_label(method.names, i)
            raise ValueError(f"losses must be in a graph, and {label} is not: was it detached, or computed under torch.no_grad()?")
    return active


def _tensors(torch: Any, shared_parameters: Any) -> list[Any]:
    """Return the shared tensors that require a gradient, each once."""
    if isinstance(shared_parameters, torch.nn.Module):
        shared_parameters = shared_parameters.parameters()
    if not isinstance(shared_parameters, Iterable):
        raise TypeError(f"shared_parameters must be tensors or a module, got {shared_parameters!r}")
    tensors = [shared_parameters] if isinstance(shared_parameters, torch.Tensor) else list(shared_parameters)
    for tensor in tensors:
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"shared_parameters must be tensors or a module, got a {type(tensor).__name__} among them")
    found = {id(tensor): tensor for tensor in tensors if tensor.requires_grad}
    if not found:
        raise ValueError(f"shared_parameters must have a tensor that requires a gradient; got {len(tensors)}, and none does")
    return list(found.values())


def _plan(nodes: list[Any], shared: list[Any], needs_rows: bool) -> _Plan:
    """Divide all tensors: into shared ones, parameters of one task, and others that several tasks use."""
    used = [_leaves(node) for node in nodes]
    given = {id(tensor) for tensor in shared}
    n_users = Counter(key for leaves in used for key in leaves)
    own = [[leaf for key, leaf in leaves.items() if n_users[key] == 1 and key not in given] for leaves in used]
    common = {key: leaf for leaves in used for key, leaf in leaves.items() if n_users[key] > 1 and key not in given}
    return _Plan(shared if needs_rows else [], own, [*common.values(), *([] if needs_rows else shared)])


def _leaves(node: Any) -> dict[int, Any]:
    """Return the parameters that a graph begins with, by their identity."""
    found, seen, waiting = dict[int, Any](), set[Any](), [node]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if type(node).__name__ == "AccumulateGrad":
            found[id(node.variable)] = node.variable
        waiting.extend(below for below, _ in node.next_functions)
    return found


def _gradients(
    torch: Any, scalars: list[Any], active: list[int], plan: _Plan, retain_graph: bool
) -> tuple[list[list[Any]], list[list[Any]]]:
    """Differentiate each loss by itself: (rows of the shared tensors, gradients of its own parameters); None for an unused one.

    Tasks that take no part have None everywhere. The graph is kept for as long as a later pass needs it.
    """
    n_rows = len(plan.rows)
    rows, own = [[None] * n_rows for _ in scalars], [[None] * len(tensors) for tensors in plan.own]
    for i in active:
        tensors = [*plan.rows, *plan.own[i]]
        if tensors:
            keep = retain_graph or bool(plan.summed) or i != active[-1]
            gradients = torch.autograd.grad(scalars[i], tensors, retain_graph=keep, allow_unused=True)
            rows[i], own[i] = list(gradients[:n_rows]), list(gradients[n_rows:])
    return rows, own


def _weighted_sum(torch: Any, losses: list[Any], weights: list[float], tensors: list[Any], retain_graph: bool) -> Any:
    """Return the gradients of the weighted sum of losses by tensors; None where no loss uses one."""
    if not tensors:
        return ()
    factors = [torch.full_like(loss, weight) for loss, weight in zip(losses, weights, strict=True)]
    return torch.autograd.grad(losses, tensors, factors, retain_graph=retain_graph, allow_unused=True)


def _accumulate(tensors: list[Any], gradients: Any) -> None:
    """Add gradients to `.grad` of leaves, as `torch.Tensor.backward` does."""
    for tensor, gradient in zip(tensors, gradients, strict=True):
        if gradient is None or not tensor.is_leaf:
            continue
        if tensor.grad is None:
            tensor.grad = gradient.clone()  # it may be an expanded tensor, or belong to another parameter too
        elif tensor.grad.is_sparse and not gradient.is_sparse:
            tensor.grad = _sum(tensor.grad, gradient)
        else:
            tensor.grad.add_(gradient)


def _sum(one: Any, other: Any) -> Any:
    """Return the sum of two gradients. PyTorch adds a sparse one to a dense one, and not the other way round."""
    return other + one if one.is_sparse else one + other


def _refuse_unused(gradients: Iterable[Any]) -> None:
    if all(gradient is None for gradient in gradients):
        raise ValueError("shared_parameters must be in the graph of a loss, and none of them is")

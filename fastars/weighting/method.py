"""Base class of all weighting methods. A step checks its inputs first, and happens as a whole or not at all."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypedDict

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._runtime.signals import HeldSignals
from fastars._validate import boolean, one_of, positive_int, user_facing
from fastars.weighting.arrays import is_finite
from fastars.weighting.backward import backward
from fastars.weighting.inputs import check_at_least, described, read_inputs
from fastars.weighting.per_task import number_of_tasks
from fastars.weighting.saved_state import check_owner, read_state
from fastars.weighting.step import Inputs, State, Step, Tasks
from fastars.weighting.tensors import tensor_kind

_LEAST_POSITIVE = math.ulp(0.0)


class Common(TypedDict, total=False):
    """Keyword arguments of every method, described at `Method`."""

    names: Sequence[str] | None
    normalize: str | None
    update_every: int
    mask: Sequence[bool] | None
    freeze: bool


class Method:
    """Weights for the losses, rewards or gradients of T tasks, from step to step.

    Parameters
    ----------
    n_tasks : int, optional
        T. Default: the number of entries in the first step.
    names : sequence of str, shape (T,), optional
        Names of the tasks.
    normalize : {"sum", "mean"}, optional
        Scale the weights so that their absolute values sum to 1 ("sum") or to T ("mean"). Default: the method's own scale.
    update_every : int
        Steps from one update of the weights to the next.
    mask : sequence of bool, shape (T,), optional
        True for tasks that take part. The others keep their weights, and may have any losses and gradients, NaN included. Default:
        all take part. `mask` and `freeze` may be changed between steps.
    freeze : bool
        While True, no weight changes.

    Attributes
    ----------
    n_steps : int
        Steps taken.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range, or of the wrong kind.
    """

    name: ClassVar[str]
    positive_losses: ClassVar[bool] = False  # True if the method refuses a loss of 0 or less
    errors: ClassVar[Literal["ignore"] | None] = "ignore"  # NumPy's warnings in _next; weights are checked after it

    @user_facing
    def __init__(
        self,
        n_tasks: int | None = None,
        *,
        names: Sequence[str] | None = None,
        normalize: str | None = None,
        update_every: int = 1,
        mask: Sequence[bool] | None = None,
        freeze: bool = False,
    ) -> None:
        self.names = None if names is None else tuple(names)
        self.n_tasks = number_of_tasks(n_tasks, names=self.names)
        self.normalize = one_of("normalize", normalize, ("sum", "mean", None))
        self.update_every = positive_int("update_every", update_every)
        self.freeze = boolean("freeze", freeze)
        self._mask: np.ndarray | None = None
        if mask is not None:
            self.mask = mask
        self.reset()

    def reset(self) -> None:
        """Forget every step."""
        self.n_steps = 0
        self._info_of_step: dict[str, Any] | Callable[[], dict[str, Any]] = {}
        self._weights: FloatArray | None = None
        self._sums: FloatArray | None = None  # of the weights of all steps
        self._state: State | None = None

    # --- To be implemented by a method

    @property
    def needs(self) -> tuple[str, ...]:
        """Arguments that `step` needs: some of "losses", "norms", "gram", "stds"."""
        raise NotImplementedError

    def _first(self, n_tasks: int) -> tuple[FloatArray, State]:
        """Return weights and state before the first step."""
        return np.ones(n_tasks), {}

    def _next(self, weights: FloatArray, state: State, inputs: Inputs) -> Step:
        """Return the step that follows from `weights` and `state`. It must not change either in place."""
        raise NotImplementedError

    # --- A step

    @user_facing
    def step(
        self,
        losses: Any = None,
        *,
        norms: Any = None,
        grads: Any = None,
        gram: Any = None,
        stds: Any = None,
    ) -> Any:
        """Return the weights to use now, and learn from the inputs.

        With four tasks a step of GradNorm takes some 20 microseconds, 35 with Adam. Its kernels take 2 of them.

        Parameters
        ----------
        losses : array_like of float, shape (T,), optional
            Losses of the tasks.
        norms : array_like of float, shape (T,), optional
            Norms of the tasks' unweighted gradients.
        grads : array_like of float, shape (T, ...), or a sequence of T gradients, optional
            Gradients of the tasks, from any framework: each an array, or a sequence or mapping of the arrays of several parameters,
            with None for one that the task does not use. They replace `gram` and `norms`, with sums in float64. For methods that
            need `gram` their norms may have any size, and be 0 or down to 3e-145 of the largest.
        gram : array_like of float, shape (T, T), optional
            Inner products of the gradients. They replace `norms`. Squares of norms are 0, or at least 3.6e-307.
        stds : array_like of float, shape (T,), optional
            Standard deviations of the tasks' returns.

        Returns
        -------
        ndarray of float64, or tensor, shape (T,)
            The weights to use now; the attribute `weights` holds the ones with which the next step begins. If an input is made of
            PyTorch's tensors, a tensor of the dtype and device of the first such input, without a gradient.

        Raises
        ------
        ValueError
            If an input that the method needs is missing, has another length, is not finite, or has a sign that is impossible; or
            if the dtype of the inputs can't hold a weight. Nothing has changed then.
        """
        is_due = self.is_due
        kind = tensor_kind(losses, grads, norms, gram, stds)
        tasks = Tasks(type(self).__name__, self.n_tasks, self.names, self._mask)
        inputs = read_inputs(tasks, self.needs if is_due else (), losses, norms, grads, gram, stds)
        n_tasks = len(inputs.mask)
        weights, state = self._first(n_tasks) if self._weights is None or self._state is None else (self._weights, self._state)
        used, info = weights, self._info_of_step
        if is_due:
            step = self._checked_next(weights, state, inputs)
            used, weights, state, info = step.weights, step.next_weights, step.state, step.info
        scaled = self._scaled(used)
        result = scaled if kind is None else kind.tensor(scaled)
        self.n_tasks, self._info_of_step = n_tasks, info
        self._weights, self._state = weights, state
        self._sums = scaled.copy() if self._sums is None else self._sums + scaled
        self.n_steps += 1
        return result

    @user_facing
    def backward(self, losses: Any, shared_parameters: Any, *, retain_graph: bool = False) -> Any:
        """Take a step with PyTorch, and add to `.grad` what it says: in place of `loss.backward()`.

        Shared parameters get the weighted sum of the gradients of all losses. The method sees each of these gradients, if it needs
        them. A parameter in the graph of one loss alone, as in the head of a task, gets the gradient of this loss as it is. Any
        other parameter gets the weighted sum too, unseen by the method: the layers below the one that GradNorm looks at.

        Parameters
        ----------
        losses : sequence of T tensors with one number each, or a tensor (T,)
            Losses of the tasks, in their graphs. Parameters of single tasks are told from the others in a sequence, and in a tensor
            that comes directly from `torch.stack` or `torch.cat`.
        shared_parameters : torch.nn.Module, tensor or iterable of tensors
            Parameters, or the features that the trunk gives. Those that need no gradient are left out.
        retain_graph : bool
            Keep the graphs for another pass.

        Returns
        -------
        tensor, shape (T,)
            The weights, as `step` gives them. As in PyTorch, gradients are added to those in `.grad`: clear them before. A masked
            task adds none.

        Raises
        ------
        ValueError, TypeError
            As `step` does; for losses that are no tensors in a graph, or that depend on no shared parameter. Nothing has changed
            then, but graphs may be gone.
        """
        return backward(self, losses, shared_parameters, boolean("retain_graph", retain_graph))

    @property
    def is_due(self) -> bool:
        """True if the next step updates the weights. Only then it needs the inputs that `needs` names."""
        return not self.freeze and self.n_steps % self.update_every == 0

    @property
    def info(self) -> dict[str, Any]:
        """Intermediate results of the last update, computed when they are read."""
        if callable(self._info_of_step):
            self._info_of_step = self._info_of_step()
        return self._info_of_step

    @property
    def weights(self) -> FloatArray:
        """Weights with which the next step begins, (T,)."""
        if self._weights is not None:
            return self._scaled(self._weights)
        if self.n_tasks is None:
            raise ValueError(f"{type(self).__name__} has no weights before its first step: n_tasks is not known")
        return self._scaled(self._first(self.n_tasks)[0])

    @property
    def mean_weights_(self) -> FloatArray:
        """Mean of the weights that all steps used, (T,). For GradNorm they are close to the best constant ones (section 5.4)."""
        if self._sums is None:
            return self.weights
        return self._sums / self.n_steps

    @property
    def mask(self) -> np.ndarray:
        """True for tasks that take part, (T,). Reading it gives a copy."""
        if self._mask is not None:
            return self._mask.copy()
        return np.ones(self.n_tasks or 0, np.bool_)

    @mask.setter
    def mask(self, mask: Any) -> None:
        array = np.array(mask, np.bool_)
        if array.ndim != 1 or self.n_tasks not in (None, len(array)) or not array.any():
            raise ValueError(f"mask must be True for at least one of {self.n_tasks or 'the'} tasks, got {mask!r}")
        self.n_tasks = len(array)
        self._mask = None if array.all() else array

    def _checked_next(self, weights: FloatArray, state: State, inputs: Inputs) -> Step:
        """Return a step with finite weights, in which masked tasks keep theirs."""
        if self.positive_losses and inputs.losses is not None:
            check_at_least("losses", inputs.losses, _LEAST_POSITIVE, f"positive for {type(self).__name__}", inputs)
        with HeldSignals(), np.errstate(all=self.errors):
            step = self._next(weights, state, inputs)
        if self._mask is not None:
            used, following = (np.where(self._mask, proposed, weights) for proposed in step[:2])
            step = step._replace(weights=used, next_weights=following)
        if not (is_finite(step.weights) and is_finite(step.next_weights)):
            raise ValueError(f"{type(self).__name__} has no finite weights for {described(inputs)}")
        return step

    def _scaled(self, weights: FloatArray) -> FloatArray:
        """Return a copy of the weights on the scale that `normalize` names."""
        if self.normalize is None:
            return weights.copy()
        size = float(np.abs(weights).sum())
        total = 1.0 if self.normalize == "sum" else len(weights)
        return weights * (total / size) if size > 0.0 else weights.copy()

    # --- Arguments and state as plain data

    @classmethod
    def parameters(cls) -> dict[str, inspect.Parameter]:
        """Return the constructor's parameters by name, without `n_tasks` and `names`."""
        found = {**inspect.signature(cls.__init__).parameters, **inspect.signature(Method.__init__).parameters}
        return {name: parameter for name, parameter in found.items() if name not in ("self", "n_tasks", "names", "common")}

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the constructor that differ from its defaults, as plain data, without `n_tasks` and `names`."""
        given = {}
        for name, parameter in self.parameters().items():
            value = self._mask if name == "mask" else getattr(self, name)
            if isinstance(value, np.ndarray):
                value = value.tolist()
            if isinstance(value, tuple):
                value = list(value)
            if value != parameter.default:
                given[name] = value
        return given

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the method, from which another one continues: plain data and arrays."""
        state: dict[str, Any] = {"method": self.name, "n_tasks": self.n_tasks, "n_steps": self.n_steps, "freeze": self.freeze}
        arrays = {"weights": self._weights, "sums": self._sums, "mask": self._mask}
        state |= {name: array.copy() for name, array in arrays.items() if array is not None}
        if self._state is not None:
            state["state"] = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in self._state.items()}
        return state

    @user_facing
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from the result of `state_dict`.

        Raises
        ------
        ValueError
            If the state is of another method or of another number of tasks, or is not whole. Nothing has changed then.
        """
        check_owner(state, self.name, self.n_tasks)
        saved = read_state(state, None if state.get("state") is None else self._first(state["n_tasks"])[1])
        self.n_tasks, self.n_steps, self.freeze = state["n_tasks"], saved.n_steps, saved.freeze
        self._weights, self._sums, self._mask, self._state = saved.weights, saved.sums, saved.mask, saved.state

    def __repr__(self) -> str:
        """Return an expression that makes the method again."""
        given: dict[str, Any] = {}
        if self.names is not None:
            given["names"] = self.names
        elif self.n_tasks is not None:
            given["n_tasks"] = self.n_tasks
        arguments = {**given, **self.arguments()}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"

"""What all weighting methods have in common: what goes in is checked, and a step happens whole or not at all."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, TypedDict

import numpy as np

from fastars import kernels
from fastars._compiled.structs import FloatArray

_LEAST_POSITIVE = math.ulp(0.0)
_ALL = slice(None)  # the index of all tasks

NEEDS = ("losses", "norms", "gram", "stds")
State = dict[str, Any]


class Common(TypedDict, total=False):
    """What every method takes by keyword; `Method` says what it is."""

    names: Sequence[str] | None
    normalize: str | None
    update_every: int
    mask: Sequence[bool] | None
    freeze: bool


class Inputs(NamedTuple):
    """What a step is told of the tasks; None where it was not."""

    losses: FloatArray | None  # (T,)
    norms: FloatArray | None  # (T,), of the gradients
    gram: FloatArray | None  # (T, T), of the gradients
    stds: FloatArray | None  # (T,)
    mask: np.ndarray  # (T,), which tasks take part: at least one
    tasks: Any  # the index of these: a slice where all do, which makes no copy


class Step(NamedTuple):
    """What a step gives."""

    weights: FloatArray  # (T,), of this step
    next_weights: FloatArray  # (T,), of the next one; those of tasks that take no part are not looked at
    state: State  # of the method
    info: dict[str, Any] | Callable[[], dict[str, Any]]  # a function is called when somebody asks


class Method:
    """A way to weight the losses, rewards or gradients of T tasks, from step to step.

    Parameters
    ----------
    n_tasks : int, optional
        T. Default: as many as the first step has.
    names : sequence of str, optional
        Of the tasks.
    normalize : {"sum", "mean"}, optional
        Scale the weights so that their absolute values sum to 1, or to T. Default: as the method has them.
    update_every : int
        Steps from one update to the next; between them the weights stay as they are.
    mask : sequence of bool, shape (T,), optional
        Tasks that take part. The others keep their weights, and may have any losses and gradients, NaN included. Default: all.
        May be changed between steps, as `freeze` may.
    freeze : bool
        While True, no weight changes.

    Attributes
    ----------
    n_steps : int
        Steps taken.
    """

    name: ClassVar[str]
    positive_losses: ClassVar[bool] = False  # whether a loss of 0 or less is refused
    errors: ClassVar[Literal["ignore"] | None] = "ignore"  # what isn't finite is found after _next

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
        if normalize not in (None, "sum", "mean"):
            raise ValueError(f"normalize must be 'sum', 'mean' or None, got {normalize!r}")
        self.names = None if names is None else tuple(names)
        if n_tasks is None and self.names is not None:
            n_tasks = len(self.names)
        self.n_tasks = None if n_tasks is None else count("n_tasks", n_tasks)
        if self.names is not None and len(self.names) != self.n_tasks:
            raise ValueError(f"names must have {self.n_tasks} entries, one per task, got {names!r}")
        self.normalize = normalize
        self.update_every = count("update_every", update_every)
        if not isinstance(freeze, (bool, np.bool_)):
            raise ValueError(f"freeze must be True or False, got {freeze!r}")
        self.freeze = bool(freeze)
        self._mask: np.ndarray | None = None
        if mask is not None:
            self.mask = mask
        self.reset()

    def reset(self) -> None:
        """Forget every step."""
        self.n_steps = 0
        self._info_of_step: dict[str, Any] | Callable[[], dict[str, Any]] = {}
        self._weights: FloatArray | None = None
        self._sums: FloatArray | None = None  # of all weights used
        self._state: State | None = None

    # --- What a method is: to be implemented

    @property
    def needs(self) -> tuple[str, ...]:
        """What a step must be told: some of "losses", "norms", "gram", "stds"."""
        raise NotImplementedError

    def _first(self, n_tasks: int) -> tuple[FloatArray, State]:
        """Weights and state before the first step."""
        return np.ones(n_tasks), {}

    def _next(self, weights: FloatArray, state: State, inputs: Inputs) -> Step:
        """The step that follows from `weights` and `state`, neither of which it may change."""
        raise NotImplementedError

    # --- A step

    def step(
        self,
        losses: Any = None,
        *,
        norms: Any = None,
        grads: Any = None,
        gram: Any = None,
        stds: Any = None,
    ) -> FloatArray:
        """Look at the tasks, and learn from them.

        With four tasks a step of GradNorm takes some 20 microseconds, 35 with Adam; 2 of them are its kernels'.

        Parameters
        ----------
        losses : array_like of float, shape (T,), optional
            Their values.
        norms : array_like of float, shape (T,), optional
            Norms of the gradients of the tasks, unweighted.
        grads : array_like of float, shape (T, d), or a sequence of T arrays, optional
            The gradients themselves, from any framework: they give what the method needs of `gram` and `norms`, with sums in
            float64.
        gram : array_like of float, shape (T, T), optional
            Products of the gradients; it gives `norms`.
        stds : array_like of float, shape (T,), optional
            Standard deviations of the tasks' returns.

        Returns
        -------
        ndarray of float64, shape (T,)
            The weights to use now. `weights` are those that the next step begins with.

        Raises
        ------
        ValueError
            If something that the method needs is missing, of another length, not finite, or of a sign that it can't have.
        """
        inputs = self._checked(losses, norms, grads, gram, stds)
        n_tasks = len(inputs.mask)
        weights, state = self._first(n_tasks) if self._weights is None or self._state is None else (self._weights, self._state)
        used, info = weights, self._info_of_step
        if self.is_due:
            with np.errstate(all=self.errors):
                step = self._next(weights, state, inputs)
            used, following = self._kept(step.weights, weights), self._kept(step.next_weights, weights)
            if not (_is_finite(used) and _is_finite(following)):
                raise ValueError(f"{type(self).__name__} has no finite weights for {self._told(inputs)}")
            weights, state, info = following, step.state, step.info
        self.n_tasks, self._info_of_step = n_tasks, info
        self._weights, self._state = weights, state
        scaled = self._scaled(used)
        self._sums = scaled.copy() if self._sums is None else self._sums + scaled
        self.n_steps += 1
        return scaled

    @property
    def is_due(self) -> bool:
        """Whether the next step updates the weights: only then it has to be told what the method needs."""
        return not self.freeze and self.n_steps % self.update_every == 0

    @property
    def info(self) -> dict[str, Any]:
        """What the last update computed."""
        if callable(self._info_of_step):
            self._info_of_step = self._info_of_step()
        return self._info_of_step

    @property
    def weights(self) -> FloatArray:
        """Weights that the next step begins with, (T,)."""
        if self._weights is not None:
            return self._scaled(self._weights)
        if self.n_tasks is None:
            raise ValueError(f"{type(self).__name__} has no weights before its first step: n_tasks is not known")
        return self._scaled(self._first(self.n_tasks)[0])

    @property
    def mean_weights_(self) -> FloatArray:
        """Mean over all steps of the weights they used, (T,): for GradNorm close to the best constant ones (section 5.4)."""
        if self._sums is None:
            return self.weights
        return self._sums / self.n_steps

    @property
    def mask(self) -> np.ndarray:
        """Which tasks take part, (T,)."""
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

    def _kept(self, proposed: FloatArray, weights: FloatArray) -> FloatArray:
        """The proposed weights, with those of masked tasks as they were."""
        return proposed if self._mask is None else np.where(self._mask, proposed, weights)

    def _scaled(self, weights: FloatArray) -> FloatArray:
        if self.normalize is None:
            return weights.copy()
        size = float(np.abs(weights).sum())
        total = 1.0 if self.normalize == "sum" else len(weights)
        return weights * (total / size) if size > 0.0 else weights.copy()

    # --- Borders

    def _checked(self, losses: Any, norms: Any, grads: Any, gram: Any, stds: Any) -> Inputs:
        """What a step was told, as float64."""
        needs = self.needs if self.is_due else ()
        if grads is not None:
            gram, of_grads = self._products(_rows(grads), "gram" in needs)
            norms = of_grads if norms is None else norms
        given = {
            name: self._array(name, value)
            for name, value in (("losses", losses), ("norms", norms), ("gram", gram), ("stds", stds))
            if value is not None
        }
        if gram is not None and norms is None:
            given["norms"] = np.sqrt(np.maximum(np.diag(given["gram"]), 0.0))
        for name in needs:
            if name not in given:
                instead = {"norms": " (or gram= or grads=)", "gram": " (or grads=)"}.get(name, "")
                raise ValueError(f"{type(self).__name__}.step needs {name}={instead}")
        n_tasks = self._agreed(given) if self.n_tasks is None else self.n_tasks
        if self.positive_losses and "losses" in needs:
            self._at_least("losses", given["losses"], _LEAST_POSITIVE, f"positive for {type(self).__name__}")
        mask = np.ones(n_tasks, np.bool_) if self._mask is None else self._mask
        tasks = _ALL if self._mask is None else np.flatnonzero(mask)
        return Inputs(given.get("losses"), given.get("norms"), given.get("gram"), given.get("stds"), mask, tasks)

    def _agreed(self, given: Mapping[str, FloatArray]) -> int:
        """The number of tasks in the first step."""
        if not given:
            raise ValueError(f"{type(self).__name__}.step needs to be told of the tasks: n_tasks is not known")
        n_tasks = len(next(iter(given.values())))
        for name, value in given.items():
            if len(value) != n_tasks:
                raise ValueError(f"{name} must have {n_tasks} entries, one per task, got {len(value)}")
        return n_tasks

    def _products(self, rows: np.ndarray, with_gram: bool) -> tuple[FloatArray | None, FloatArray]:
        """(Gram matrix if it is wanted, norms) of gradients, which are finite if the norms are."""
        if self.n_tasks not in (None, len(rows)):
            raise ValueError(f"grads must have {self.n_tasks} entries, one per task, got {len(rows)}")
        gram: FloatArray | None = kernels.gram(rows) if with_gram else None
        norms: FloatArray = kernels.gradient_norms(rows) if gram is None else np.sqrt(np.diag(gram))
        for i, norm in enumerate(norms.tolist()):
            if not math.isfinite(norm) and (self._mask is None or self._mask[i]):
                raise ValueError(f"grads must be finite, and so must their products, got a norm of {norm:g} for {self._task(i)}")
        return gram, norms

    def _array(self, name: str, value: Any) -> FloatArray:
        """Numbers that fit; nobody looks at those of masked tasks."""
        array = _float64(name, value)
        if name == "gram":
            if array.ndim != 2 or array.shape[0] != array.shape[1]:
                raise ValueError(f"gram must have shape (T, T), got {array.shape}")
        elif array.ndim != 1:
            raise ValueError(f"{name} must have shape (T,), got {array.shape}")
        if self.n_tasks not in (None, len(array)):
            raise ValueError(f"{name} must have {self.n_tasks} entries, one per task, got {len(array)}")
        looked_at = array if self._mask is None else array[np.ix_(*(self._mask,) * array.ndim)]
        if not _is_finite(looked_at):
            tasks = np.arange(len(array)) if self._mask is None else np.flatnonzero(self._mask)
            bad = int(np.argmin(np.isfinite(looked_at).reshape(len(tasks), -1).all(axis=1)))
            raise ValueError(f"{name} must be finite, got {looked_at[bad]} for {self._task(tasks[bad])}")
        if name in ("norms", "stds"):
            self._at_least(name, array, 0.0, "at least 0")
        return array

    def _at_least(self, name: str, array: FloatArray, least: float, allowed: str) -> None:
        values = array.tolist()
        if self._mask is None and min(values) >= least:  # they are finite
            return
        for i, value in enumerate(values):
            if value < least and (self._mask is None or self._mask[i]):
                raise ValueError(f"{name} must be {allowed}, got {value:g} for {self._task(i)}")

    def _task(self, i: Any) -> str:
        return f"task {int(i)}" if self.names is None else f"task {self.names[i]!r}"

    @staticmethod
    def _told(inputs: Inputs) -> str:
        told = inputs._asdict()
        return ", ".join(f"{name}={told[name].tolist()}" for name in NEEDS if told[name] is not None)

    # --- Files

    def arguments(self) -> dict[str, Any]:
        """Arguments of the constructor that are not its defaults, as plain data; those of the tasks left out."""
        given = {}
        own = inspect.signature(type(self).__init__).parameters
        for name, parameter in {**own, **inspect.signature(Method.__init__).parameters}.items():
            if name in ("self", "n_tasks", "names", "common"):
                continue
            value = self._mask if name == "mask" else getattr(self, name)
            if isinstance(value, np.ndarray):
                value = value.tolist()
            if isinstance(value, tuple):
                value = list(value)
            if value != parameter.default:
                given[name] = value
        return given

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on from here: plain data and arrays."""
        state: dict[str, Any] = {"method": self.name, "n_tasks": self.n_tasks, "n_steps": self.n_steps, "freeze": self.freeze}
        arrays = {"weights": self._weights, "sums": self._sums, "mask": self._mask}
        state |= {name: array.copy() for name, array in arrays.items() if array is not None}
        if self._state is not None:
            state["state"] = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in self._state.items()}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave.

        Raises
        ------
        ValueError
            If it is of another method or of another number of tasks, or not whole; nothing has changed then.
        """
        for name in ("method", "n_tasks", "n_steps", "freeze"):
            if name not in state:
                raise ValueError(f"the state has no {name!r}")
        if state["method"] != self.name:
            raise ValueError(f"the state must be one of {self.name!r}, got {state['method']!r}")
        n_tasks = state["n_tasks"]
        if self.n_tasks not in (None, n_tasks):
            raise ValueError(f"the state must be one of {self.n_tasks} tasks, got {n_tasks}")
        arrays: dict[str, Any] = {}
        for name in ("weights", "sums", "mask"):
            arrays[name] = None if state.get(name) is None else np.array(state[name], np.bool_ if name == "mask" else np.float64)
            if arrays[name] is not None and (arrays[name].shape != (n_tasks,) or not np.isfinite(arrays[name]).all()):
                raise ValueError(f"{name} must be {n_tasks} finite numbers, got {state[name]!r}")
        n_steps = count("n_steps", state["n_steps"], 0)
        of_method = state.get("state")
        if of_method is not None:
            expected = self._first(n_tasks)[1]
            of_method = dict(of_method)
            for name, value in expected.items():
                if name not in of_method or np.shape(of_method[name]) != np.shape(value):
                    raise ValueError(f"the state has no fitting {name!r}")
                if isinstance(value, np.ndarray):  # it may have become a list on its way through a file
                    of_method[name] = np.array(of_method[name], value.dtype)
        self.n_tasks, self.n_steps, self.freeze = n_tasks, n_steps, bool(state["freeze"])
        self._weights, self._sums, self._mask, self._state = arrays["weights"], arrays["sums"], arrays["mask"], of_method

    def __repr__(self) -> str:
        given: dict[str, Any] = {}
        if self.names is not None:
            given["names"] = self.names
        elif self.n_tasks is not None:
            given["n_tasks"] = self.n_tasks
        arguments = {**given, **self.arguments()}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"


def placed(weights: np.ndarray, tasks: Any, values: np.ndarray) -> np.ndarray:
    """A copy of the weights (or of anything else of each task) with those of some tasks replaced."""
    copy = weights.copy()
    copy[tasks] = values
    return copy


def total(weights: FloatArray, inputs: Inputs) -> float:
    """What the weights of the tasks that take part sum to, so that all of them sum to T."""
    if isinstance(inputs.tasks, slice):
        return float(len(weights))
    return float(len(weights) - weights[~inputs.mask].sum())


def count(name: str, value: Any, least: int = 1) -> int:
    """The value as an integer of at least `least`.

    Raises
    ------
    ValueError
        Naming the argument, its value and what is allowed.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
    return int(value)


def number(name: str, value: Any, least: float, below: float = math.inf, *, open_below: bool = False) -> float:
    """The value as a finite float from `least`, or above `least` with `open_below`, to below `below`.

    Raises
    ------
    ValueError
        Naming the argument, its value and what is allowed.
    """
    try:
        converted = float(value)
    except (TypeError, ValueError):
        converted = math.nan
    is_inside = least < converted < below if open_below else least <= converted < below
    if isinstance(value, bool) or not (is_inside and math.isfinite(converted)):
        allowed = "a finite number" if least == -math.inf else f"a number {'above' if open_below else 'of at least'} {least:g}"
        limit = f" and below {below:g}" if below < math.inf else ""
        raise ValueError(f"{name} must be {allowed}{limit}, got {value!r}")
    return converted


def _is_finite(array: FloatArray) -> bool:
    """Whether all numbers are; a list is quicker to look at where they are few."""
    if array.ndim == 1:
        return all(map(math.isfinite, array.tolist()))
    return bool(np.isfinite(array).all())


def _float64(name: str, value: Any) -> FloatArray:
    try:
        return _of_numpy(value).astype(np.float64)
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: of a framework
        raise ValueError(f"{name} must be numbers: {error}") from error


def _of_numpy(value: Any) -> np.ndarray:
    """An array of anything; tensors of torch leave their graph and their device for it, alone or in a sequence."""
    if hasattr(value, "detach"):
        return np.asarray(value.detach().cpu())
    if isinstance(value, (list, tuple)) and any(hasattr(entry, "detach") for entry in value):
        return np.array([_of_numpy(entry) for entry in value])
    return np.asarray(value)


def _rows(grads: Any) -> np.ndarray:
    """Gradients as a matrix, (T, d): float32 stays float32, the kernel's sums are float64."""
    try:
        if isinstance(grads, (list, tuple)):
            rows = [_of_numpy(gradient).ravel() for gradient in grads]
            if len({len(row) for row in rows}) > 1:
                raise ValueError(f"all tasks need gradients of one length, got {', '.join(str(len(row)) for row in rows)}")
            matrix = np.stack(rows)
        else:
            matrix = _of_numpy(grads)
        matrix = matrix if matrix.dtype in (np.float32, np.float64) else matrix.astype(np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"grads must be numbers, a row per task: {error}") from error
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(f"grads must have shape (T, d), got {matrix.shape}")
    return np.ascontiguousarray(matrix)

"""Weights for several losses, rewards or gradients: GradNorm, uncertainty weighting and others, on arrays of any framework.

Every method is a class, and all are used in one way:

    weights = method.step(losses=..., norms=... | grads=... | gram=..., stds=...)

`method.needs` names the arguments that a method needs. Nothing here knows ARS, or an environment. A method is a class in a file of
this package, and a line in the table below. The arithmetic is in `fastars.kernels`, with twins in `fastars.reference`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastars._validate import known_names, one_of, user_facing

# Class and module of a method, by the name that `ARS(weighting=...)` takes.
_HOME = {
    "uniform": ("Uniform", "fixed"),
    "fixed": ("Fixed", "fixed"),
    "std": ("StandardDeviation", "fixed"),
    "gradnorm": ("GradNorm", "gradnorm"),
    "uncertainty": ("UncertaintyWeighting", "uncertainty"),
    "uw-so": ("UWSO", "uncertainty"),
    "dwa": ("DynamicWeightAverage", "dwa"),
    "random": ("RandomWeighting", "random_weighting"),
    "famo": ("FAMO", "famo"),
    "stch": ("STCH", "stch"),
    "mgda": ("MGDA", "quadratic"),
    "db-mtl": ("DBMTL", "db_mtl"),
    "imtl-g": ("IMTLG", "spectral"),
    "config": ("ConFIG", "spectral"),
    "pcgrad": ("PCGrad", "surgery"),
    "cagrad": ("CAGrad", "quadratic"),
    "aligned-mtl": ("AlignedMTL", "spectral"),
    "nash-mtl": ("NashMTL", "bargaining"),
    "fairgrad": ("FairGrad", "bargaining"),
    "dualproj": ("DualProj", "quadratic"),
    "upgrad": ("UPGrad", "quadratic"),
}
METHODS = tuple(_HOME)
_CLASSES = {**dict(_HOME.values()), "Custom": "fixed", "Method": "method"}

__all__ = ["METHODS", "make_method", *sorted(_CLASSES)]

if TYPE_CHECKING:  # for editors and type checkers
    from fastars.weighting.bargaining import FairGrad, NashMTL
    from fastars.weighting.db_mtl import DBMTL
    from fastars.weighting.dwa import DynamicWeightAverage
    from fastars.weighting.famo import FAMO
    from fastars.weighting.fixed import Custom, Fixed, StandardDeviation, Uniform
    from fastars.weighting.gradnorm import GradNorm
    from fastars.weighting.method import Method
    from fastars.weighting.quadratic import MGDA, CAGrad, DualProj, UPGrad
    from fastars.weighting.random_weighting import RandomWeighting
    from fastars.weighting.spectral import IMTLG, AlignedMTL, ConFIG
    from fastars.weighting.stch import STCH
    from fastars.weighting.surgery import PCGrad
    from fastars.weighting.uncertainty import UWSO, UncertaintyWeighting


@user_facing
def make_method(weighting: Any, n_tasks: int | None = None, names: Any = None, **arguments: Any) -> Any:
    """Return a weighting method.

    Parameters
    ----------
    weighting : str, Method or callable
        A name of `METHODS`; a method, which is returned itself if it fits; or a function of (gram, losses) that gives weights.
    n_tasks : int, optional
        T, the number of tasks. Default: the number of entries in the first step.
    names : sequence of str, shape (T,), optional
        Names of the tasks.
    **arguments
        Arguments of the method's constructor, if `weighting` is a name or a function.

    Returns
    -------
    Method

    Raises
    ------
    ValueError
        For an unknown name, a method of another number of tasks, or an argument that is out of range.
    TypeError
        If `weighting` is none of these, or the constructor has no such argument.
    """
    from fastars.weighting.fixed import Custom
    from fastars.weighting.method import Method

    if isinstance(weighting, Method):
        if n_tasks is not None and weighting.n_tasks not in (None, n_tasks):
            raise ValueError(f"weighting must be a method of {n_tasks} tasks, got {weighting!r}")
        if names is not None and (weighting.n_tasks or n_tasks or len(names)) != len(names):
            raise ValueError(f"names must have {weighting.n_tasks or n_tasks} entries, one per task, got {names!r}")
        weighting.n_tasks = weighting.n_tasks or n_tasks
        weighting.names = weighting.names or (None if names is None else tuple(names))
        return weighting
    if isinstance(weighting, str):
        name, module = _HOME[one_of("weighting", weighting, METHODS)]
        method: type[Method] = getattr(import_module(f"{__name__}.{module}"), name)
        known_names(f"{name}()", arguments, method.parameters())
        return method(n_tasks, names=names, **arguments)
    if callable(weighting) and not isinstance(weighting, type):
        known_names("Custom()", arguments, Method.parameters())
        return Custom(weighting, n_tasks, names=names, **arguments)
    raise TypeError(f"weighting must be a name, a method (not its class) or a function, got {weighting!r}")


def __getattr__(name: str) -> Any:
    if name not in _CLASSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_CLASSES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

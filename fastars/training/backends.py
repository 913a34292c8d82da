"""The two modules that can compute a run: compiled kernels, and their NumPy twins."""

from functools import cache
from types import ModuleType

BACKENDS = ("numba", "numpy")


@cache
def backend_module(name: str) -> ModuleType:
    """Return the module of a backend; the twins are imported where a run uses them (20 files)."""
    if name == "numpy":
        from fastars import reference

        return reference
    from fastars import kernels

    return kernels

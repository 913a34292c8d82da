"""The two modules that can compute a run: compiled kernels, and their NumPy twins."""

from types import ModuleType

from fastars import kernels, reference

BACKENDS: dict[str, ModuleType] = {"numba": kernels, "numpy": reference}

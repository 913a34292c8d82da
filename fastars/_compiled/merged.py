"""Functions that become a part of every kernel around them. Nobody else calls them, so they get no machine code of their own.

Numba makes machine code for each function that it compiles, also for those whose code LLVM copies into their callers. That was a
tenth of the time of a first run. The LLVM code stays the same, and with it the machine code of kernels.
"""

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder


class MergedCompiler(CompilerBase):
    """Numba's compiler, with a library of code to link in place of one to run."""

    def define_pipelines(self) -> list[Any]:
        """Return the passes, which are Numba's."""
        state: Any = self.state
        state.library = _LinkedLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        return [DefaultPassBuilder.define_nopython_pipeline(state)]


class _LinkedLibrary(JITCodeLibrary):
    """LLVM code that other libraries link."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Return 0: there is no machine code."""
        self._ensure_finalized()
        return 0

    @property
    def codegen(self) -> Any:
        """The object that Numba tells the environment of machine code."""
        return _NoEnvironments


class _NoEnvironments:
    """Environments hold what Python code in a kernel needs, to print or to make objects. Functions that are merged have none."""

    @staticmethod
    def set_env(name: str, environment: Any) -> None:
        """Do nothing."""

"""MuJoCo's C functions behind a guard against fatal errors, known to LLVM by name.

A fatal error inside MuJoCo would end the process. A guarded function returns 1 instead, and leaves MuJoCo's text in the frame of
the simulation. `handlers.py` has the handlers of errors and warnings, which a guarded function sets for its thread.

The guard is the one that MuJoCo's Python bindings have: `setjmp` before the call, and `longjmp` out of MuJoCo's handler for the
thread. Neither Numba nor ctypes can call `setjmp`, so it is written in LLVM's language. The interrupted call keeps memory of the
MjData's stack; a simulation that failed is thrown away.

Numba caches a kernel that calls a C function by its name (`ExternalFunction`), but not one that calls a pointer; so the names are
made known to LLVM when this module is imported.
"""

import ctypes
from typing import Any

import llvmlite.binding as llvm
import numba
from numba import types

from fastars.envs.errors import UnsupportedEnvError
from fastars.envs.mujoco.handlers import TEXT_BYTES, handlers_for
from fastars.envs.mujoco.library import address_of, library, mujoco

# Bytes of a frame: the `jmp_buf` (200 on x86-64 Linux, 312 on arm64), and a message.
JUMP_BYTES = 512
FUNCTIONS = ("mj_resetData", "mj_forward", "mj_step", "mj_rnePostConstraint")

_GUARD = """
declare i32 @_setjmp(ptr) returns_twice
declare void @longjmp(ptr, i32) noreturn

define internal i32 @guarded(ptr %function, ptr %model, ptr %data, i64 %count, ptr %frame) noinline {
entry:
  %key = load i64, ptr @frame_key
  call i32 @pthread_setspecific(i64 %key, ptr %frame)
  ENTER_GUARD
  %jumped = call i32 @_setjmp(ptr %frame) returns_twice
  %failed = icmp ne i32 %jumped, 0
  br i1 %failed, label %finish, label %again
again:
  %k = phi i64 [ 0, %entry ], [ %next, %again ]
  call void %function(ptr %model, ptr %data)
  %next = add i64 %k, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %again, label %finish
finish:
  LEAVE_GUARD
  ret i32 %jumped
}

define double @fastars_no_time() {
  ret double 0.0
}
"""

_ENTRY = """
declare void @NAME(ptr, ptr)

define i32 @fastars_NAME(ptr %model, ptr %data, i64 %count, ptr %frame) {
  %failed = call i32 @guarded(ptr @NAME, ptr %model, ptr %data, i64 %count, ptr %frame)
  ret i32 %failed
}
"""


def _load() -> Any:
    """Make MuJoCo's guarded functions known to LLVM by name; return the engine that holds them and the handlers."""
    has_log_handler = hasattr(library, "_mjPRIVATE_setTlsLogHandler")
    if not has_log_handler and not hasattr(library, "_mjPRIVATE__set_tls_error_fn"):
        raise UnsupportedEnvError(f"mujoco {mujoco.__version__} has no error handler that fastars knows")
    handlers, calls = handlers_for(has_log_handler)
    entries = "".join(_filled(_ENTRY, NAME=name) for name in FUNCTIONS)
    module = llvm.parse_assembly(_filled(_GUARD + handlers + entries, **calls, JUMP_BYTES=JUMP_BYTES, TEXT_BYTES=TEXT_BYTES))
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(module, machine)
    for function in module.functions:  # those of this library, whatever another library in the process calls its own
        if function.is_declaration and function.name.lstrip("_").startswith("mj"):
            engine.add_global_mapping(function, address_of(function.name))
    engine.finalize_object()
    for name in FUNCTIONS:
        llvm.add_symbol(f"fastars_{name}", engine.get_function_address(f"fastars_{name}"))
    ctypes.CFUNCTYPE(None)(engine.get_function_address("fastars_init"))()
    return engine


def _filled(template: str, **values: Any) -> str:
    for name, value in values.items():
        template = template.replace(name, str(value))
    return template


engine = _load()  # must live as long as the process


def declared(name: str) -> Any:
    """Return a guarded function as Numba calls it, or as ctypes does: (mjModel*, mjData*, calls, frame) -> 0, or 1 if it failed."""
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        address = engine.get_function_address(f"fastars_{name}")
        return ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_ssize_t, ctypes.c_ssize_t, ctypes.c_int64, ctypes.c_ssize_t)(address)
    return types.ExternalFunction(f"fastars_{name}", types.int32(types.intp, types.intp, types.int64, types.intp))

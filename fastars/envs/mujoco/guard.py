"""MuJoCo's C functions behind a guard against fatal errors, known to LLVM by name.

A fatal error inside MuJoCo would end the process. A guarded function returns 1 instead, and leaves MuJoCo's text in the frame of
the simulation.

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
from fastars.envs.mujoco.library import library, library_path, mujoco

# Bytes of a frame: the `jmp_buf` (200 on x86-64 Linux, 312 on arm64), and a message.
JUMP_BYTES, TEXT_BYTES = 512, 1024
FUNCTIONS = ("mj_resetData", "mj_forward", "mj_step", "mj_rnePostConstraint")

_GUARD = """
declare i32 @_setjmp(ptr) returns_twice
declare void @longjmp(ptr, i32) noreturn
declare ptr @strncpy(ptr, ptr, i64)
declare i32 @pthread_key_create(ptr, ptr)
declare i32 @pthread_setspecific(i32, ptr)
declare ptr @pthread_getspecific(i32)
declare void @mj_resetData(ptr, ptr)
declare void @mj_forward(ptr, ptr)
declare void @mj_step(ptr, ptr)
declare void @mj_rnePostConstraint(ptr, ptr)

@key = internal global i32 0    ; of the frame that this thread's call belongs to

define void @fastars_mj_init() {
  call i32 @pthread_key_create(ptr @key, ptr null)
  ret void
}

define internal void @on_error(ptr %text) {
  %key = load i32, ptr @key
  %frame = call ptr @pthread_getspecific(i32 %key)
  %room = getelementptr i8, ptr %frame, i64 JUMP_BYTES
  call ptr @strncpy(ptr %room, ptr %text, i64 TEXT_BYTES)
  call void @longjmp(ptr %frame, i32 1)
  unreachable
}

define internal i32 @guarded(ptr %function, ptr %model, ptr %data, i64 %count, ptr %frame) noinline {
entry:
  %key = load i32, ptr @key
  call i32 @pthread_setspecific(i32 %key, ptr %frame)
  SET_HANDLERS
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
  CLEAR_HANDLERS
  ret i32 %jumped
}
"""

_NO_TIME = """
define double @fastars_no_time() {
  ret double 0.0
}
"""

_ENTRY = """
define i32 @fastars_NAME(ptr %model, ptr %data, i64 %count, ptr %frame) {
  %failed = call i32 @guarded(ptr @NAME, ptr %model, ptr %data, i64 %count, ptr %frame)
  ret i32 %failed
}
"""

# MuJoCo's handlers for a thread, by version. Warnings are not printed, nor written to MUJOCO_LOG.TXT: `simulate` counts them.
_LOG_HANDLER = """
declare void @_mjPRIVATE_setTlsLogHandler(ptr)

define internal void @on_message(ptr %message) {    ; mjLogMessage: int level, int topic, char subject[1024], ...
  %level = load i32, ptr %message
  %is_error = icmp sge i32 %level, 3
  br i1 %is_error, label %error, label %ignore
error:
  %subject = getelementptr i8, ptr %message, i64 8
  call void @on_error(ptr %subject)
  unreachable
ignore:
  ret void
}
"""
_SET_LOG_HANDLER = "call void @_mjPRIVATE_setTlsLogHandler(ptr HANDLER)"
_ERROR_HANDLERS = """
declare void @_mjPRIVATE__set_tls_error_fn(ptr)
declare void @_mjPRIVATE__set_tls_warning_fn(ptr)

define internal void @on_warning(ptr %text) {
  ret void
}
"""
_SET_ERROR_HANDLERS = """
  call void @_mjPRIVATE__set_tls_error_fn(ptr HANDLER)
  call void @_mjPRIVATE__set_tls_warning_fn(ptr WARNING_HANDLER)
"""


def _load() -> Any:
    """Make MuJoCo's functions and their guard known to LLVM by name; return the engine that holds the guard."""
    llvm.load_library_permanently(library_path)
    if hasattr(library, "_mjPRIVATE_setTlsLogHandler"):
        handlers, set_handlers, names = _LOG_HANDLER, _SET_LOG_HANDLER, {"HANDLER": "@on_message"}
    elif hasattr(library, "_mjPRIVATE__set_tls_error_fn"):
        handlers, set_handlers = _ERROR_HANDLERS, _SET_ERROR_HANDLERS
        names = {"WARNING_HANDLER": "@on_warning", "HANDLER": "@on_error"}
    else:
        raise UnsupportedEnvError(f"mujoco {mujoco.__version__} has no error handler that fastars knows")
    text = _filled(
        _GUARD + handlers,
        SET_HANDLERS=_filled(set_handlers, **names),
        CLEAR_HANDLERS=_filled(set_handlers, **dict.fromkeys(names, "null")),
        JUMP_BYTES=JUMP_BYTES,
        TEXT_BYTES=TEXT_BYTES - 1,
    )
    module = llvm.parse_assembly(text + _NO_TIME + "".join(_filled(_ENTRY, NAME=name) for name in FUNCTIONS))
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    for name in FUNCTIONS:
        llvm.add_symbol(f"fastars_{name}", engine.get_function_address(f"fastars_{name}"))
    ctypes.CFUNCTYPE(None)(engine.get_function_address("fastars_mj_init"))()
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

"""MuJoCo's C functions as kernels call them: the only declarations of its C interface.

Numba caches a kernel that calls a C function by its name (`ExternalFunction`), but not one that calls a pointer; so the names are
made known to LLVM when this module is imported. The functions below are guarded: a fatal error inside MuJoCo, which would otherwise
end the process, makes them return 1, with MuJoCo's text left in the simulation's frame.

The guard is the one that MuJoCo's Python bindings have: `setjmp` before the call, and `longjmp` out of MuJoCo's handler for the
thread. Neither Numba nor ctypes can call `setjmp`, so it is written in LLVM's language. What was interrupted holds memory of the
MjData's stack; a simulation that failed is thrown away.
"""

import contextlib
import ctypes
import importlib.metadata
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
from numba import types

from fastars._compiled.jit import inline
from fastars._compiled.structs import FAILED, UNSTABLE, Simulation
from fastars.envs import UnsupportedEnvError

OLDEST, NEWEST = (3, 2), (4, 0)  # versions whose results were compared with Gymnasium's (CONTRIBUTING.md says how)

_JUMP_BYTES, _TEXT_BYTES = 512, 1024  # of a frame: the `jmp_buf` (200 bytes on x86-64 Linux, 312 on arm64), and a message

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
_FUNCTIONS = ("mj_resetData", "mj_forward", "mj_step", "mj_rnePostConstraint")


def _import_mujoco() -> Any:
    """The mujoco package, if it is there and of a version that is known to work."""
    try:
        import mujoco
    except ImportError as error:
        text = f'MuJoCo environments need the mujoco package: pip install "fastars[mujoco]" ({error})'
        raise UnsupportedEnvError(text) from error
    version = importlib.metadata.version("mujoco")
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if not OLDEST <= numbers <= (NEWEST[0], 99):
        raise UnsupportedEnvError(
            f"mujoco {version} is not supported: install one from {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.x, "
            f'such as by pip install "fastars[mujoco]"'
        )
    return mujoco


mujoco = _import_mujoco()


(_path,) = (str(path) for path in Path(mujoco.__file__).parent.iterdir() if re.match(r"(lib)?mujoco\.", path.name))
_library = ctypes.CDLL(_path)


def _load() -> Any:
    """Make MuJoCo's functions and their guard known to LLVM by name; the engine that holds the guard."""
    llvm.load_library_permanently(_path)
    if hasattr(_library, "_mjPRIVATE_setTlsLogHandler"):
        handlers, set_handlers, names = _LOG_HANDLER, _SET_LOG_HANDLER, {"HANDLER": "@on_message"}
    elif hasattr(_library, "_mjPRIVATE__set_tls_error_fn"):
        handlers, set_handlers = _ERROR_HANDLERS, _SET_ERROR_HANDLERS
        names = {"WARNING_HANDLER": "@on_warning", "HANDLER": "@on_error"}
    else:
        raise UnsupportedEnvError(f"mujoco {mujoco.__version__} has no error handler that fastars knows")
    text = _filled(
        _GUARD + handlers,
        SET_HANDLERS=_filled(set_handlers, **names),
        CLEAR_HANDLERS=_filled(set_handlers, **dict.fromkeys(names, "null")),
        JUMP_BYTES=_JUMP_BYTES,
        TEXT_BYTES=_TEXT_BYTES - 1,
    )
    module = llvm.parse_assembly(text + _NO_TIME + "".join(_filled(_ENTRY, NAME=name) for name in _FUNCTIONS))
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    for name in _FUNCTIONS:
        llvm.add_symbol(f"fastars_{name}", engine.get_function_address(f"fastars_{name}"))
    ctypes.CFUNCTYPE(None)(engine.get_function_address("fastars_mj_init"))()
    return engine


def _filled(template: str, **values: Any) -> str:
    for name, value in values.items():
        template = template.replace(name, str(value))
    return template


_engine = _load()  # must live as long as the process


def _declared(name: str) -> Any:
    """A guarded function, `(mjModel*, mjData*, calls, frame) -> 0, or 1 if it failed`, as Numba calls it, or as ctypes does."""
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        address = _engine.get_function_address(f"fastars_{name}")
        return ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_ssize_t, ctypes.c_ssize_t, ctypes.c_int64, ctypes.c_ssize_t)(address)
    return types.ExternalFunction(f"fastars_{name}", types.int32(types.intp, types.intp, types.int64, types.intp))


mj_resetData, mj_forward, mj_step, mj_rnePostConstraint = map(_declared, _FUNCTIONS)  # noqa: N816 - MuJoCo's names


def new_simulation(model: Any) -> Simulation:
    """A simulation of `model` for one thread. Its arrays keep its MjData alive; the caller keeps the model."""
    return simulation_of(model, mujoco.MjData(model))


def simulation_of(model: Any, data: Any) -> Simulation:
    """The arrays of an MjData, as kernels see them."""
    arrays = {name: getattr(data, name) for name in Simulation._fields if hasattr(data, name)}
    own = {
        "model": model._address,
        "data": data._address,
        "frame": np.zeros(_JUMP_BYTES + _TEXT_BYTES, np.uint8),
        "fault": np.zeros(1, np.int64),
        "bad": data.warning.number[int(mujoco.mjtWarning.mjWARN_BADQPOS) : int(mujoco.mjtWarning.mjWARN_BADCTRL) + 1],
    }
    return Simulation(**{**arrays, **own})


def failure(sim: Simulation) -> str:
    """MuJoCo's text about the error that ended a simulation."""
    return bytes(sim.frame[_JUMP_BYTES:]).split(b"\0")[0].decode(errors="replace")


class _Clock:
    """MuJoCo's clock, which its Python bindings set to measure the parts of every step.

    A step reads it some 40 times: without it, HalfCheetah took 1.16, Hopper 1.11 and Swimmer 1.23 times as many steps per second.
    So it stands still while rollouts run, for all of the process: `MjData.timer` counts nothing then. It is replaced by a function
    that gives 0, not for none: another thread may be between looking for a clock and reading it.
    """

    def __init__(self) -> None:
        self._callback = ctypes.c_void_p.in_dll(_library, "mjcb_time")
        self._lock, self._users, self._original = threading.Lock(), 0, self._callback.value
        self._no_time = _engine.get_function_address("fastars_no_time")

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Where it stands still; the last of several users to leave sets it going again."""
        with self._lock:
            if self._users == 0:
                self._original, self._callback.value = self._callback.value, self._no_time
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._callback.value = self._original


clock = _Clock()


@contextlib.contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Where MuJoCo's warnings go to a list instead of to the terminal and to MUJOCO_LOG.TXT in the user's folder."""
    texts: list[str] = []
    previous = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(texts.append)
    try:
        yield texts
    finally:
        mujoco.set_mju_user_warning(previous)


@inline
def reset_data(sim):
    """Put the simulation into the state it was made in."""
    mj_resetData(sim.model, sim.data, 1, sim.frame.ctypes.data)
    sim.fault[0] = 0


@inline
def forward(sim):
    """Compute all that follows from positions and velocities, as Gymnasium's `set_state` does."""
    if mj_forward(sim.model, sim.data, 1, sim.frame.ctypes.data):
        sim.fault[0] = FAILED


@inline
def simulate(sim, action, frame_skip, with_contact_forces):
    """`frame_skip` steps under `action`; `sim.fault` says if MuJoCo failed, or found the physics unstable."""
    for k in range(action.shape[0]):
        sim.ctrl[k] = action[k]
    frame = sim.frame.ctypes.data
    failed = mj_step(sim.model, sim.data, frame_skip, frame)
    if with_contact_forces and not failed:  # nothing but `cfrc_ext` and its like comes from it: Ant is 0.3 % faster without
        failed = mj_rnePostConstraint(sim.model, sim.data, 1, frame)
    if failed:
        sim.fault[0] = FAILED
    # Bad numbers in qpos, qvel, qacc or ctrl. MuJoCo has put the simulation into its first state, where Gymnasium goes on.
    elif sim.bad[0] + sim.bad[1] + sim.bad[2] + sim.bad[3] > 0:
        sim.fault[0] = UNSTABLE

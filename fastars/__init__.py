"""fastars: Augmented Random Search in compiled, parallel kernels.

The map of the package, from the top down. A module imports only from rows below its own:

- `cli`: the command `fastars`.
- `rllib`, `tune`: RLlib's `ARSConfig` and `ARS`; `ARS` for Ray Tune.
- `ars`: the class `ARS`, the face of a training run.
- `callbacks`, `evaluation`, `plot`: code between iterations; `evaluate_policy` and `evaluate_candidates`, learning curves.
- `sb3`: names and objects of stable-baselines3.
- `exchange`, `replay`: policies in the files of other programs; one episode of a run again.
- `training`: a run as a value (`State`), and an iteration as a function of it (`iterate`); settings, presets, model files.
- `samplers`: they run the episodes of candidates: on threads, in worker processes, on Ray.
- `envs`, `weighting`, `logger`: compiled environments and all others; methods that weight several tasks; the log.
- `kernels`: compiled functions, free to use in your own `@njit` code.
- `files`, `scalar`: bytes on disk; functions that your own compiled environment may call.
- `_compiled`, `reference`: the language that kernels are written in; the same algorithm in plain NumPy.
- `_runtime`: threads, signals, floating-point state and CPUs around the call of a kernel.
- `_validate`, `_imports`, `_version`: checks of arguments; optional packages.

Names are imported when they are used: `import fastars` does not import Numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastars._imports import when_imported
from fastars._version import __version__

_HOME = {
    "ARS": "fastars.ars",
    "AsyncEval": "fastars.sb3.async_eval",
    "NonFiniteReturnsError": "fastars.ars",
    "CheckpointError": "fastars.files.errors",
    "latest_checkpoint": "fastars.files.folder",
    "MujocoTask": "fastars.envs.mujoco.task",
    "RewardTerms": "fastars.envs.terms",
    "Rollouts": "fastars._compiled.structs",
    "SimulationError": "fastars.envs.errors",
    "UnsupportedEnvError": "fastars.envs.errors",
    "WorkerError": "fastars.envs.errors",
    "EnvMismatchError": "fastars.envs.comparison",
    "check_env": "fastars.envs.check",
    "compiled_env_ids": "fastars.envs.registry",
    "evaluate_candidates": "fastars.evaluation",
    "evaluate_policy": "fastars.evaluation",
    "register_env": "fastars.envs.user_env",
    "callbacks": None,
    "exchange": None,
    "envs": None,
    "kernels": None,
    "logger": None,
    "plot": None,
    "reference": None,
    "rllib": None,
    "scalar": None,
    "weighting": None,
}

__all__ = sorted([*_HOME, "__version__"])

if TYPE_CHECKING:  # for editors and type checkers
    from fastars import callbacks, envs, exchange, kernels, logger, plot, reference, rllib, scalar, weighting
    from fastars._compiled.structs import Rollouts
    from fastars.ars import ARS, NonFiniteReturnsError
    from fastars.envs.check import check_env
    from fastars.envs.comparison import EnvMismatchError
    from fastars.envs.errors import SimulationError, UnsupportedEnvError, WorkerError
    from fastars.envs.mujoco.task import MujocoTask
    from fastars.envs.registry import compiled_env_ids
    from fastars.envs.terms import RewardTerms
    from fastars.envs.user_env import register_env
    from fastars.evaluation import evaluate_candidates, evaluate_policy
    from fastars.files.errors import CheckpointError
    from fastars.files.folder import latest_checkpoint
    from fastars.sb3.async_eval import AsyncEval


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOME[name]
    value = import_module(f"{__name__}.{name}") if home is None else getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _register_in_gymnasium() -> None:
    from fastars.envs.registration import register

    register()


when_imported("gymnasium", _register_in_gymnasium)  # so that `make_vec("fastars/CartPole-v1")` works whichever is imported first

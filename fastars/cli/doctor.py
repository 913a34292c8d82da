"""`fastars doctor` and `fastars warmup`: check the installation, and compile kernels ahead of time."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import tyro

from fastars._imports import pip_install, version_of
from fastars._progress import duration
from fastars.cli.terminal import console, print_fact, print_sentence, say_lines

_PACKAGES = ("numba", "llvmlite", "numpy", "gymnasium", "mujoco")
# The modules that each extra installs.
_EXTRAS = {
    "cli": ("tyro", "rich"),
    "mujoco": ("mujoco", "imageio", "glfw"),  # of which `mujoco-core` brings the first alone
    "tensorboard": ("tensorboardX",),
    "plot": ("matplotlib",),
    "video": ("imageio_ffmpeg", "pygame"),
    "onnx": ("onnx",),
    "ray": ("ray",),
    "tune": ("optuna", "cmaes"),
}


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Report on the machine, and check that kernels give the results of their NumPy twins and of Gymnasium. Exit code 1 if not."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON, for a bug report. It names no host and no user, except in the path of the cache."""

    def run(self) -> int:
        """Print the report and return the exit code."""
        found = examine()
        if self.json:
            say_lines(json.dumps(found, indent=1))
        else:
            _print(found)
        return 1 if found["problems"] else 0


def examine() -> dict[str, Any]:
    """Run the checks and return the whole report."""
    from fastars._runtime.threads import run_in_thread
    from fastars._version import __version__
    from fastars.cli.progress import compiling

    start, checks, notes, lanes = time.perf_counter(), dict[str, str](), list[str](), dict[str, str]()

    def check() -> None:
        from fastars.cli.selfcheck import self_checks

        checks.update(self_checks())
        notes.extend(_mujoco_notes())
        lanes.update(_agreements())

    with compiling(console(stderr=True)):
        run_in_thread(check)
    from fastars.cli.selfcheck import FINE

    versions = {"fastars": __version__, "python": platform.python_version()}
    cache = _cache()
    problems = [f"{name}: {outcome}" for name, outcome in checks.items() if outcome not in FINE]
    if "problem" in cache:
        problems.append(cache["problem"])
    return {
        "versions": versions | {name: found for name in _PACKAGES if (found := version_of(name))},
        "system": f"{platform.system()} {platform.machine()}",
        "threads": _threads(),
        "cache": cache,
        "extras": {extra: _extra(extra, modules) for extra, modules in _EXTRAS.items()},
        "films": _films(),
        "checks": checks,
        "lanes": lanes,
        "notes": notes,
        "seconds": round(time.perf_counter() - start, 2),
        "problems": problems,
    }


def _mujoco_notes() -> list[str]:
    """Return sentences about the MuJoCo that is installed: a library of another version beside it, a known fault of it."""
    if version_of("mujoco") is None:
        return []
    try:
        from fastars.envs.mujoco.library import faults, other_libraries
    except Exception:  # the check of MuJoCo says why
        return []
    return [*other_libraries(), *faults()]


def _agreements() -> dict[str, str]:
    """Return how far the lanes agreed with `mj_step` in the environments that were run over lanes, with these versions."""
    if version_of("mujoco") is None:
        return {}
    try:
        from fastars.envs.mujoco.kept_agreements import kept_agreements
    except Exception:  # the check of MuJoCo says why
        return {}
    return {kept.env_id: kept.agreement.summary for kept in kept_agreements()}


def _extra(extra: str, modules: tuple[str, ...]) -> str:
    """Return "installed", or the command that installs an extra."""
    missing = [name for name in modules if find_spec(name) is None]
    return f"{', '.join(missing)} missing: {pip_install(extra)}" if missing else "installed"


def _films() -> dict[str, str]:
    """Return for each kind of environment "yes", with the way in which it is drawn, or what is in the way of its films."""
    if find_spec("imageio_ffmpeg") is None:
        return {"none": f"imageio_ffmpeg missing: {pip_install('video')}"}
    films = {"classic control": "yes" if find_spec("pygame") else f"pygame missing: {pip_install('video')}"}
    if version_of("mujoco") is None:
        return films
    from fastars.envs.mujoco.opengl import advice, fault_of, working_backend

    chosen = os.environ.get("MUJOCO_GL", "").lower()
    if chosen:
        fault = fault_of(chosen)
        return {**films, "MuJoCo": f"MUJOCO_GL={chosen} fails: {fault}; {advice()}" if fault else f"yes, by MUJOCO_GL={chosen}"}
    backend = working_backend()
    return {**films, "MuJoCo": f"yes, by {backend}" if backend else f"nothing draws here; {advice()}"}


def _threads() -> dict[str, Any]:
    """Return the CPUs that this process may use, and the limits of its environment and its control group."""
    from fastars._compiled.jit import numba
    from fastars._runtime.cpus import allowed_cpus, available_cpus, cpu_quota, thread_limits

    try:
        layer = str(numba.threading_layer())
    except ValueError:
        layer = "not started"
    limits: dict[str, float] = {**thread_limits(os.environ)}
    if (quota := cpu_quota()) is not None:
        limits["quota"] = round(quota, 2)
    return {"used": available_cpus(), "allowed": allowed_cpus(), "cpus": os.cpu_count(), "limits": limits, "layer": layer}


def _cache() -> dict[str, Any]:
    from fastars._compiled.kernel_cache import cache_directory

    directory = cache_directory()
    if directory is None:
        named = os.environ.get("FASTARS_CACHE_DIR", "~/.cache/fastars")
        problem = f"kernels are not kept: {named} can't be written, or other users can write to it; every start compiles them anew"
        return {"problem": problem}
    files = [path.stat().st_size for path in Path(directory).glob("*.kernel")]
    return {"directory": directory, "kernels": len(files), "megabytes": round(sum(files) / 1e6, 1)}


def _print(found: dict[str, Any]) -> None:
    out, threads, cache = console(), found["threads"], found["cache"]
    usual = f"{threads['used']} by default; {threads['allowed']} of {threads['cpus']} CPUs"
    limits = "".join(f", {name.replace('quota', 'a quota of')} {limit:g}" for name, limit in threads["limits"].items())
    facts = {
        "versions": [f"{name} {text}" for name, text in found["versions"].items()],
        "system": found["system"],
        "threads": f"{usual}{limits}; Numba's layer: {threads['layer']}",
        "kernels": cache.get("problem") or f"{cache['kernels']} kept in {cache['directory']}, {cache['megabytes']:g} MB",
    }
    for name, fact in facts.items():
        print_fact(out, f" {name:<9}  ", fact)
    sections = {name: found[name] for name in ("extras", "films", "checks")} | {"lanes and mj_step, one step": found["lanes"]}
    for title, rows in sections.items():
        if not rows:
            continue
        out.print(f"\n {title}", style="dim")
        width = max(map(len, rows))
        for name, fact in rows.items():
            print_fact(out, f"   {name:<{width}}  ", fact, style="")
    for note in found["notes"]:
        print_fact(out, "\n note     ", note)
    problems, notes = found["problems"], found["notes"]
    if problems:
        verdict = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}: {'; '.join(problems)}"
    else:
        verdict = f"No problems, {len(notes)} note{'' if len(notes) == 1 else 's'} above" if notes else "All is well"
    out.print("")
    print_sentence(out, f"{verdict}, in {duration(found['seconds'])}", "bold")


@dataclass(frozen=True, kw_only=True)
class Warmup:
    """Compile the kernels of environments for this processor and keep them, so that training need not wait for them."""

    envs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[ENV ...]")] = ()
    """Ids of compiled environments; by default, the environments of classic control. `fastars envs` lists all; MODULE:ENV is one of
    your own."""

    def run(self) -> int:
        """Compile the kernels and return the exit code."""
        from fastars._compiled.kernel_cache import cache_directory
        from fastars.cli.env_ids import refuse_unknown
        from fastars.cli.errors import WrongUseError
        from fastars.envs import compiled_env_ids, compiled_id

        for env_id in self.envs:
            refuse_unknown(env_id)
        usual = (name for name in compiled_env_ids("classic") if name != "CartPole-v0")
        names = [compiled_id(env_id.rpartition(":")[2].removeprefix("fastars/")) for env_id in self.envs or usual]
        for name in names:
            if name not in compiled_env_ids():
                raise WrongUseError(f"{name} runs in Python: it has no kernels to compile; `fastars envs` lists those that have")
        directory, start = cache_directory(), time.perf_counter()
        for name in names:
            _warm(name)
        kept = f"kept in {directory}" if directory else "not kept: there is no folder that only you can write"
        environments = f"{len(names)} environment{'' if len(names) == 1 else 's'}"
        print_sentence(console(), f"Kernels of {environments} in {duration(time.perf_counter() - start)}, {kept}")
        return 0


def _warm(env_id: str) -> None:
    from fastars._runtime.threads import run_in_thread
    from fastars.ars import ARS
    from fastars.cli.training import warm_up

    start = time.perf_counter()
    run_in_thread(lambda: warm_up(ARS("LinearPolicy", env_id, preset="tuned", seed=0, n_threads=1)))
    console().print(f" {env_id:<27} {duration(time.perf_counter() - start)}")

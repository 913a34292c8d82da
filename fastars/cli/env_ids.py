"""The environment that the user names: ENV or MODULE:ENV, with a hint where there is none."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from pathlib import Path

from fastars._validate import did_you_mean, near_names
from fastars.cli.errors import WrongUseError

_HOW = "`fastars envs` lists the compiled ones; one of your own is MODULE:ENV, where `import MODULE` registers ENV"


def refuse_unknown(env_id: str) -> None:
    """Raise if no environment has this id. A module that it names is imported, from the current folder too.

    Raises
    ------
    WrongUseError
        With near names, or with what is wrong about the module.
    """
    module, colon, name = env_id.rpartition(":")
    if colon:
        _import(module, name)
    import gymnasium

    from fastars.envs import compiled_env_ids, compiled_id

    known = {*gymnasium.registry, *(each.removeprefix("fastars/") for each in compiled_env_ids())}
    name = name.removeprefix("fastars/")
    if name in known or compiled_id(name) in known:
        return
    near = _near(name, known, module)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
    if colon and hasattr(sys.modules[module], name):
        hint = f"; to register it, the module calls gymnasium.register(id='{name}-v0', entry_point={env_id!r})."
    text = f"module {module} registers no environment {name!r}" if colon else f"there is no environment {name!r}"
    raise WrongUseError(f"{text}{hint} {_HOW}")


def _near(name: str, known: set[str], module: str) -> list[str]:
    """Return near names with the module before them; a name without its version is near to all its versions, the newest first."""
    versions = sorted((each for each in known if re.sub(r"-v\d+$", "", each).casefold() == name.casefold()), key=_version)
    near = versions[::-1] or near_names(name, known, 3)
    near = [each for each in near if "/" not in each] or near  # phys2d/CartPole-v1 is another program for the same
    return [f"{module}:{each}" for each in near[:1]] if module else near[:3]


def _version(env_id: str) -> int:
    return int(env_id.rpartition("-v")[2]) if re.search(r"-v\d+$", env_id) else -1


def _import(module: str, name: str) -> None:
    """Import a module. The current folder is the last place where it is looked for: no file in it hides an installed package."""
    if module.endswith(".py") or "/" in module or os.sep in module:
        as_named = ".".join(part for part in Path(module.removesuffix(".py")).parts if part not in (".", "/"))
        raise WrongUseError(f"MODULE is a name as `import` takes it, got {module!r}; try {as_named}:{name}")
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):  # one that it imports is missing
            raise WrongUseError(f"module {module} can't be imported: {error} (--traceback shows where)") from error
        near = did_you_mean(module, [path.stem for path in Path(here).glob("*.py")])
        raise WrongUseError(f"there is no module {module!r}, neither installed nor in this folder{near}") from error
    except Exception as error:
        raise WrongUseError(
            f"module {module} can't be imported: {type(error).__name__}: {error} (--traceback shows where)"
        ) from error

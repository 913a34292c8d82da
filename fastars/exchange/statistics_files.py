"""Find the file of a `VecNormalize` beside the model of stable-baselines3 that was trained in it."""

from __future__ import annotations

import re
from pathlib import Path

_NAMES = ("vecnormalize.pkl", "vec_normalize.pkl")
_SETTINGS = ("args.yml", "config.yml")  # of a run of rl-zoo


def statistics_beside(path: Path) -> Path | None:
    """Return the file of a `VecNormalize` where scripts, `CheckpointCallback` and rl-zoo put it; None if there is none.

    rl-zoo has a folder for it beside its models, with the name of the environment: `<env>/vecnormalize.pkl` beside `<env>.zip`,
    `best_model.zip` and the models of its checkpoints.
    """
    stem = path.stem
    names = [f"{stem}_vecnormalize.pkl", re.sub(r"_(\d+_steps)$", r"_vecnormalize_\1", stem) + ".pkl", *_NAMES]
    names += [f"{folder}/{name}" for folder in _folders_of_zoo(path) for name in _NAMES]
    return next((path.parent / name for name in names if (path.parent / name).is_file()), None)


def _folders_of_zoo(path: Path) -> list[str]:
    """Return the names of folders beside a model in which rl-zoo keeps what belongs to it, the likeliest first.

    They are named as the model or as another model beside it. A single folder with the settings of a run counts, too.
    """
    others = sorted(each.stem for each in path.parent.glob("*.zip"))
    named = [name for name in (path.stem, *others) if name and (path.parent / name).is_dir()]
    settings = sorted({each.parent.name for name in _SETTINGS for each in path.parent.glob(f"*/{name}")})
    return [*dict.fromkeys(named), *(settings if len(settings) == 1 else [])]

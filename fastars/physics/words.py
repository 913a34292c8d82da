"""Names of a model's elements, for sentences on what is not supported."""

from typing import Any


def element(mj_model: Any, kind: str, index: int) -> str:
    """Return "the joint 'hip'", or "joint number 3" if it has no name. `kind` is the name of MjModel's accessor, as "joint"."""
    name = getattr(mj_model, kind)(int(index)).name
    return f"the {kind} {name!r}" if name else f"{kind} number {int(index)}"

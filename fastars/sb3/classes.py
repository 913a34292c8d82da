"""Recognise objects of stable-baselines3 by the names of their classes, without importing it."""

from __future__ import annotations

from typing import Any

PACKAGE = "stable_baselines3"


def is_sb3(value: Any, name: str) -> bool:
    """Return True if the value is of stable-baselines3's class `name`, or of a class derived from it."""
    return any(each.__name__ == name and each.__module__.partition(".")[0] == PACKAGE for each in type(value).__mro__)

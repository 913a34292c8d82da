"""Refuse what the memory of this machine can't hold, before anything is allocated; count what is left of it."""

from __future__ import annotations

import os
from pathlib import Path

from fastars._runtime.control_groups import control_groups

# Files of a control group: its limit, its use, and the key of memory in `memory.stat` that Linux takes back when it is needed.
_FILES = {
    True: ("memory.max", "memory.current", "inactive_file"),
    False: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def refuse_beyond_memory(settings: str, n_bytes: float) -> None:
    """Raise a ValueError that names the settings if they need more bytes than the machine has.

    A failed allocation would name no setting, and one that succeeds although the memory is not there ends the process later.
    """
    most = physical_memory()
    if most is not None and n_bytes > most:
        raise ValueError(f"{settings} must fit into the {_gib(most)} of memory of this machine, but need {_gib(n_bytes)}")


def physical_memory() -> int | None:
    """Return the bytes of memory of this machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def spare_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes that nobody uses: of the machine, or of a control group with a limit; None where the system does not say."""
    kilobytes = _values(root / "proc/meminfo").get("MemAvailable:")
    spares = [] if kilobytes is None else [1024 * kilobytes]
    for folder, is_second in control_groups("memory", root):
        limit, usage, kept = _FILES[is_second]
        values = {name: _values(folder / name).get("") for name in (limit, usage)}
        most, used = values[limit], values[usage]
        if most is not None and used is not None:
            spares.append(most - used + _values(folder / "memory.stat").get(kept, 0))
    return min(spares, default=None)


def _values(file: Path) -> dict[str, int]:
    """Return the numbers of a file with a name and a number in each line, or with a number alone, whose name is then ""."""
    try:
        lines = [line.split() for line in file.read_text().splitlines()]
    except (OSError, ValueError):
        return {}
    pairs = [("", *words) if len(words) == 1 else words for words in lines]
    return {words[0]: int(words[1]) for words in pairs if len(words) > 1 and words[1].isdecimal()}


def _gib(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:,.1f} GiB"

"""Memory that nobody uses: of the machine, and of a container.

Broken on purpose: only the group itself, or another controller looked at; use or memory that is given back left out; the
machine left out; its kB taken for 1,000 bytes; the largest value taken -> red.
"""

import pytest

from fastars._runtime.memory import spare_memory

MACHINE = {"proc/meminfo": "MemTotal: 8000 kB\nMemFree: 10 kB\nMemAvailable: 4000 kB\nHugePages_Total: 0\n"}
SECOND, FIRST = "0::/job/part\n", "5:cpu:/job\n4:memory:/job\n"
SYSTEMS = {
    "no group": ("", {}, 4_096_000),
    "version 2": (SECOND, {"job/part/memory.max": "1000\n", "job/part/memory.current": "400\n"}, 600),
    "version 2, with memory that is given back": (
        SECOND,
        {"job/part/memory.max": "1000", "job/part/memory.current": "400", "job/part/memory.stat": "anon 300\ninactive_file 50\n"},
        650,
    ),
    "version 2, a group of a group": (
        SECOND,
        {"job/part/memory.max": "max", "job/part/memory.current": "4", "job/memory.max": "900", "job/memory.current": "8"},
        892,
    ),
    "version 2, in a container": (SECOND, {"memory.max": "1000", "memory.current": "1"}, 999),
    "version 2, no limit": (SECOND, {"job/part/memory.max": "max", "job/part/memory.current": "400"}, 4_096_000),
    "version 1": (
        FIRST,
        {
            "memory/job/memory.limit_in_bytes": "1000",
            "memory/job/memory.usage_in_bytes": "300",
            "memory/job/memory.stat": "total_inactive_file 7",
        },
        707,
    ),
    "version 1, no limit": (
        FIRST,
        {"memory/job/memory.limit_in_bytes": "9223372036854771712", "memory/job/memory.usage_in_bytes": "300"},
        4_096_000,
    ),
    "nonsense": ("what\n0::/job\n", {"job/memory.max": "-5\n", "job/memory.current": ""}, 4_096_000),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_limits_of_control_groups_are_read(name, tmp_path):
    listed, files, spare = SYSTEMS[name]
    contents = {**MACHINE, "proc/self/cgroup": listed, **{f"sys/fs/cgroup/{path}": text for path, text in files.items()}}
    for path, text in contents.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert spare_memory(tmp_path) == spare


def test_a_system_that_does_not_say(tmp_path):
    assert spare_memory(tmp_path) is None

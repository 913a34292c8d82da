"""Default number of threads: from the affinity, the quota of the container, and environment variables.

Broken on purpose: only the group itself looked at -> the tests of containers red; the largest quota taken -> the nested one red;
rounded down -> the one of 1.5 red.
"""

import os
import subprocess
import sys

import pytest

from fastars import ARS
from fastars._runtime import cpus
from fastars._runtime.cpus import available_cpus, cpu_quota, thread_limits

V1 = "5:memory:/job\n4:cpu,cpuacct:{0}\n"
GROUPS = {
    "version 2": ("0::/job/part\n", {"job/part/cpu.max": "250000 100000\n"}, 2.5),
    "version 2, no limit": ("0::/job\n", {"job/cpu.max": "max 100000\n"}, None),
    "version 2, a group of a group": (
        "0::/job/part\n",
        {"job/part/cpu.max": "400000 100000", "job/cpu.max": "150000 100000", "cpu.max": "max 100000"},
        1.5,
    ),
    "version 2, in a container": ("0::/kubepods/pod1/abc\n", {"cpu.max": "200000 100000\n"}, 2.0),
    "version 2, outside of the mount": ("0::/../../other\n", {"cpu.max": "200000 100000\n"}, 2.0),
    "version 1": (
        V1.format("/job"),
        {"cpu,cpuacct/job/cpu.cfs_quota_us": "50000\n", "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n"},
        0.5,
    ),
    "version 1, no limit": (
        V1.format("/"),
        {"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
        None,
    ),
    "version 1, in a container": (
        V1.format("/docker/abc"),
        {"cpu,cpuacct/cpu.cfs_quota_us": "300000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
        3.0,
    ),
    "nonsense": ("what\n0::/job\n", {"job/cpu.max": "many\n", "cpu.max": "1 0\n"}, None),
}


@pytest.mark.parametrize("name", GROUPS)
def test_the_quota_of_control_groups_is_read(name, tmp_path):
    listed, files, quota = GROUPS[name]
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(listed)
    for path, text in files.items():
        (tmp_path / "sys/fs/cgroup" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys/fs/cgroup" / path).write_text(text)
    assert cpu_quota(tmp_path) == quota


def test_there_may_be_no_control_groups(tmp_path):
    assert cpu_quota(tmp_path) is None


@pytest.mark.parametrize(("quota", "n"), [(None, 64), (0.5, 1), (1.5, 2), (2.0, 2), (100.0, 64)])
def test_a_quota_is_rounded_up(quota, n, monkeypatch):
    monkeypatch.setattr(cpus, "allowed_cpus", lambda: 64)
    monkeypatch.setattr(cpus, "cpu_quota", lambda: quota)
    monkeypatch.setattr(cpus, "thread_limits", lambda variables: {})
    assert available_cpus() == n


@pytest.mark.parametrize(
    ("variables", "limits"),
    [
        ({"OMP_NUM_THREADS": "3"}, [3]),
        ({"OMP_NUM_THREADS": " 4 ,2,1"}, [4]),
        ({"OMP_NUM_THREADS": "3", "NUMBA_NUM_THREADS": "2"}, [2, 3]),
        ({"OMP_NUM_THREADS": "", "NUMBA_NUM_THREADS": "0"}, []),
        ({"OMP_NUM_THREADS": "all", "NUMBA_NUM_THREADS": "-1"}, []),
        ({"OMP_NUM_THREADS": "1" * 5000}, []),
    ],
)
def test_variables_limit_the_threads(variables, limits):
    assert sorted(thread_limits(variables).values()) == limits


def test_n_threads_counts_more_than_a_variable(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert ARS("LinearPolicy", "CartPole-v1", seed=0).n_threads == 1
    assert ARS("LinearPolicy", "CartPole-v1", seed=0, n_threads=3).n_threads == 3


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_affinity_limits_the_threads():
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from fastars._runtime.cpus import allowed_cpus; print(allowed_cpus())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"

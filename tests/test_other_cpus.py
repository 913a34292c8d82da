"""The same bits on another processor: one without this one's instructions for compiled kernels, the BLAS, NumPy and the C library.

Each is told what it may use before it starts; that it listened is seen in bits which do differ. The environments with several
rewards are trained with weights of 1: products with others round as NumPy's BLAS does, which is another one on another CPU.

Broken on purpose: kernels that may contract a * b + c to one rounding (`fastmath={"contract"}`), a gradient by `np.dot`
-> test_another_cpu_gives_the_same_bits red.
"""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

SCRIPT = """
    import hashlib, json, math, sys, warnings
    warnings.simplefilter("ignore")
    import numba, numpy as np
    from fastars import ARS

    def digest(*arrays):
        return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()

    def trained(env_id):
        settings = {"n_delta": 100, "n_top": 50, "variant": "V2-t", "delta_std": 0.3, "noise_size": 1 << 18}
        model = ARS("LinearPolicy", env_id, seed=3, n_threads=1, **settings)
        model.learn(10**9, lambda *_: model.iteration < 8)
        assert np.any(model.theta != 0)
        return digest(model.theta, *model.state.moments[1:], model.noise)

    numbers = np.random.default_rng(0).normal(size=(100, 1000))
    marks = {
        "kernels": list(numba.core.registry.cpu_target.target_context.codegen().magic_tuple()),
        "BLAS": digest([np.dot(row, row[::-1]) for row in numbers]),
        "NumPy": digest(np.exp(numbers)),
        "C library": digest([math.exp(x) for x in numbers.ravel()]),
    }
    print(json.dumps({"marks": marks, "hashes": {env_id: trained(env_id) for env_id in sys.argv[1:]}}))
"""
NUMPY = " ".join(np.show_config(mode="dicts")["SIMD Extensions"].get("found", []))
GLIBC = "glibc.cpu.hwcaps=" + ",".join(f"-{name}" for name in ("AVX", "AVX2", "FMA", "FMA4", "AVX512F"))
CPUS = {
    "kernels": {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
    "BLAS": {"OPENBLAS_CORETYPE": "Prescott"},
    "NumPy": {"NPY_DISABLE_CPU_FEATURES": NUMPY},
    "C library": {"GLIBC_TUNABLES": GLIBC},
}
CLASSIC = "CartPole-v1", "Pendulum-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0"
SEVERAL = "fastars/mo-pendulum-v0", "fastars/mo-mountaincar-v0", "fastars/mo-mountaincarcontinuous-v0", "fastars/water-reservoir-v0"
pytestmark = pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="says how x86-64 CPUs differ")


def found_on(cpu, env_ids):
    """Return the results of a process that may use only the instructions of this CPU."""
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), *env_ids]
    done = subprocess.run(command, env={**os.environ, **cpu}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.promise(15)
def test_another_cpu_gives_the_same_bits(tally):
    env_ids = tally.of(fast=CLASSIC[:2], full=CLASSIC + SEVERAL)
    here = found_on({}, env_ids)
    everything = {name: value for cpu in CPUS.values() for name, value in cpu.items()}
    cpus = tally.of(fast={"a CPU without all of it": everything}, full={**CPUS, "a CPU without all of it": everything})
    n_differing = 0
    for name, cpu in cpus.items():
        there = found_on(cpu, env_ids)
        assert there["hashes"] == here["hashes"], name
        differing = {mark for mark in there["marks"] if there["marks"][mark] != here["marks"][mark]}
        assert "kernels" in differing or "NUMBA_CPU_NAME" not in cpu, name
        assert differing, name  # else nothing was taken away
        n_differing += len(differing)
    tally("other CPUs with the same bits", len(cpus), of=len(cpus))
    tally("environments on each", len(env_ids))
    tally("times that kernels, BLAS, NumPy or the C library were seen to be others", n_differing)

"""docs/kernels.md: every public kernel is on it, and what it says is what the kernels are. `test_bench.py` holds it up to date."""

import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from cases import CASES

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # bench is no part of the installed package

from bench import kernel_reference as page  # noqa: E402
from fastars import kernels  # noqa: E402
from fastars.kernels.rollout import BLOCK_EPISODES  # noqa: E402

TEXT = (ROOT / "docs" / "kernels.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
BY_NAME = {case.name: case for case in CASES}
RESULTS_OF_PROGRAMS = [r"optimum: \d\.\de-0[2-9]", "^$"]
compiled = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="looks at compiled functions")


def run(arguments, folder, **environment):
    kept = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    command = [sys.executable, "-W", "error", *arguments]
    done = subprocess.run(command, cwd=folder, env=kept | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def described(name):
    return page.reference(getattr(kernels, name))


def assert_is(value, numpydoc_type):
    """The value has the dtype and the number of dimensions that a docstring gives it."""
    array = re.match(r"ndarray(?: of (?P<dtypes>[\w ]+))?, shape \((?P<shape>[^)]*)\)", numpydoc_type)
    if array is None:
        kinds = {"int": "iu", "float": "f", "bool": "b", "uint64": "u"}
        allowed = "".join(kinds.get(word, "") for word in re.split(r" or |, ", numpydoc_type))
        assert type(value).__name__ in numpydoc_type or np.asarray(value).dtype.kind in allowed, (value, numpydoc_type)
        return
    assert isinstance(value, np.ndarray), (value, numpydoc_type)
    assert array["dtypes"] is None or value.dtype.name in array["dtypes"].split(" or ")
    assert value.ndim == len([symbol for symbol in array["shape"].split(",") if symbol.strip()])


@pytest.mark.parametrize("name", BY_NAME)
def test_kernel_is_on_the_page_with_its_signature(name):
    arguments = ", ".join(inspect.signature(getattr(kernels, name)).parameters)
    assert f"\n#### {name}\n\n`{name}({arguments})`\n" in TEXT


def test_every_named_tuple_is_on_the_page():
    tuples = [name for name in kernels.__all__ if hasattr(getattr(kernels, name), "_fields")]
    assert len(tuples) >= 10
    assert [name for name in tuples if f"\n| `{name}` | " not in TEXT] == []


@pytest.mark.parametrize("name", BY_NAME)
def test_every_argument_is_described(name):
    found = [argument for entry in described(name).takes for argument in entry.names]
    assert sorted(found) == sorted(inspect.signature(getattr(kernels, name)).parameters)
    assert all(entry.type for entry in described(name).takes)


@pytest.mark.parametrize("name", BY_NAME)
def test_arguments_and_results_have_the_types_that_are_described(name):
    case = BY_NAME[name]
    args = case.make("small")
    values = dict(zip(described(name).arguments, args, strict=True))
    for entry in described(name).takes:
        for argument in entry.names:
            assert_is(values[argument], entry.type)
    result = case.kernel(*args)
    gives = [entry.type for entry in described(name).gives for _ in entry.names or [""]]
    results = [] if result is None else list(result) if len(gives) > 1 else [result]
    assert len(results) == len(gives)
    for value, numpydoc_type in zip(results, gives, strict=True):
        assert_is(value, numpydoc_type)


@compiled
def test_kernels_with_prange_are_known():
    """Those that call one count, too."""
    found = [kernel.name for kernel in page.references() if kernel.is_parallel]
    assert found == ["weighted_sums", "noise_table", "antithetic_rollouts", "rollouts"]


def test_sizes_are_those_of_the_arguments():
    assert page.in_words("weighted_sum", "small") == "n = 16, n_noise = 100, n_weights = 8"
    assert page.in_words("noise_table", "medium") == "size = 200,000"
    assert page.in_words("merge_moments", "small") == "n_obs = 17, m = 16"


def test_page_says_which_rollouts_stay_on_the_calling_thread():
    assert f"`rollouts` of {BLOCK_EPISODES} episodes or fewer" in TEXT


@pytest.mark.parametrize(("program", "expected"), list(zip(PROGRAMS, RESULTS_OF_PROGRAMS, strict=True)))
def test_program_of_the_page_runs(program, expected, tmp_path):
    assert re.search(expected, run(["-c", program], tmp_path))


CACHED = """
import numba
import numpy as np
from fastars import kernels

@numba.njit(cache=True)
def ranks_and_norm(returns):
    return kernels.centered_ranks(returns), kernels.norm(returns.ravel())

if __name__ == "__main__":
    import users_module
    users_module.ranks_and_norm(np.arange(6.0).reshape(3, 2))
    print(sum(users_module.ranks_and_norm.stats.cache_hits.values()))
"""


@compiled
def test_users_own_cached_function_is_found_by_the_next_process(tmp_path):
    (tmp_path / "users_module.py").write_text(CACHED)
    assert [run(["users_module.py"], tmp_path).strip() for _ in range(2)] == ["0", "1"]


CACHED_PARALLEL = """
import numba
import numpy as np
from fastars import kernels

@numba.njit(cache=True)
def total(weights, noise, indices):
    return kernels.weighted_sums(weights, noise, indices, 3).sum()

if __name__ == "__main__":
    import users_module
    print(users_module.total(np.ones(2), np.ones(10, np.float32), np.arange(2)), len(users_module.total.stats.cache_hits))
"""


@compiled
def test_users_own_cached_function_may_call_a_kernel_with_prange(tmp_path):
    """A function that was compiled around a kernel from the cache starts Numba's threads when it is loaded itself."""
    (tmp_path / "users_module.py").write_text(CACHED_PARALLEL)
    run(["-c", "import numpy as np, users_module as u; u.total(np.ones(2), np.ones(10, np.float32), np.arange(2))"], tmp_path)
    shutil.rmtree(tmp_path / "__pycache__")  # the kernel is in the cache now, the function is not
    assert [run(["users_module.py"], tmp_path).split() for _ in range(2)] == [["6.0", "0"], ["6.0", "1"]]


OUT_OF_BOUNDS = """
import numpy as np
from fastars import kernels

noise = np.zeros(100, np.float32)
for start in (98, -2, 1000):
    try:
        kernels.perturb(np.zeros(4), 0.1, noise, np.array([start]))
    except IndexError:
        print(start)
"""


@compiled
def test_bounds_check_finds_indices_beyond_the_noise_table(tmp_path):
    assert run(["-c", OUT_OF_BOUNDS], tmp_path, NUMBA_BOUNDSCHECK="1").split() == ["98", "-2", "1000"]


def test_all_rows_of_a_table_have_as_many_cells():
    tables = re.findall(r"(?:^\|.*\n)+", TEXT, re.MULTILINE)
    assert len(tables) > 50
    borders = [{len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()} for table in tables]
    assert [table for table, found in zip(tables, borders, strict=True) if len(found) > 1] == []

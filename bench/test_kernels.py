"""Every public kernel against its NumPy twin, over the table of cases that the tests assert."""

import pytest
from cases import CASES, SIZES
from test_twins import assert_agree


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_kernel_against_twin(case, size, race, record, quick):
    if quick and size == "large":
        pytest.skip("not in a quick run")
    assert_agree(case.call(case.kernel, case.make(size)), case.call(case.twin, case.make(size)), case)
    args = case.make(size)
    seconds = race({"kernel": lambda: case.kernel(*args), "twin": lambda: case.twin(*args)}, budget=0.5)
    record(kernel=case.name, size=size, kernel_s=seconds["kernel"], twin_s=seconds["twin"])

"""The examples and the README's programs run as they stand."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
EXPECTED = {
    "train_and_evaluate": r"kernels   (\S+) \+- \S+\nGymnasium \1 ",
    "own_loop": r"20 episodes of (?:19\d|200) steps, which end at x = (?:0\.[89]|1\.[012])\d",
    "large_policy": r"1,008,002 weights, [\d,]+ steps: mean return \d\d untrained, [345]\d\d trained",
    "openai_es": r"mean return of 100 episodes (?:4[89]\d|500)",
    "cma_es": r"mean return of 100 episodes -[78]\d",
    "numpy_training_loop": r"mean return of 64 episodes (?:4[89]\d|500)",
    "policy_in_c": r"for 500 steps; 500 of its actions are those of Python",
    "own_mujoco_task": r"stays for [0-3]\.\d s\ntrained: .* for (?:9\.\d|10\.0) s\nkernels   (\S+) \+- \S+\nGymnasium \1 ",
    "own_environment": r"the same bits .*\n.*: yes\nuntrained.*\ntrained: .* 2[5-9]\d of 300\nkernels   (.+)\nGymnasium \1\n",
}


def outputs(page):
    """Return the outputs of programs that a page shows."""
    return re.findall(r"```text\n(.*?)```", page.read_text(), re.DOTALL)


def run(code, folder, warnings="error"):
    done = subprocess.run([sys.executable, "-W", warnings, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs_and_prints_what_it_should(path, tmp_path):
    if "mujoco" in path.stem:
        pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")
    if path.stem == "policy_in_c" and shutil.which("cc") is None:
        pytest.skip("there is no compiler of C")
    if path.stem == "cma_es":
        pytest.importorskip("cmaes", reason="the example is about the cmaes package")
    assert re.search(EXPECTED[path.stem], run(path.read_text(), tmp_path))


@pytest.mark.parametrize("name", ["openai_es", "cma_es", "own_loop", "numpy_training_loop"])
def test_example_of_embedding_is_short(name):
    assert len((ROOT / "examples" / f"{name}.py").read_text().splitlines()) < 60


def test_readme_has_one_program_of_eight_lines():
    """The first screen of the README; longer programs are on the pages in docs/."""
    assert [len(block.splitlines()) for block in BLOCKS] == [8]


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_program_of_the_readme_runs(block, tmp_path):
    output = run(block, tmp_path)
    if "evaluate_policy(model" in block:
        assert output.startswith("(500.0, 0.0)")


def test_readme_shows_what_its_command_prints():
    """GradNorm drives as near as equal weights, and leaves less than half of their angle."""
    (command,) = re.findall(r"^python (examples\S+ --quick)", (ROOT / "README.md").read_text(), re.MULTILINE)
    program, *arguments = command.split()
    done = subprocess.run([sys.executable, ROOT / program, *arguments], capture_output=True, text=True, check=True)
    assert outputs(ROOT / "README.md") == [done.stdout]
    rows = dict(re.findall(r"^(.*?) +distance (\S+ m, angle \S+) rad", done.stdout, re.MULTILINE))
    left = {name: [float(number) for number in row.split(" m, angle ")] for name, row in rows.items()}
    assert list(left) == ["untrained", "equal weights", "GradNorm"]
    assert left["GradNorm"][0] < 1.05 * left["equal weights"][0] < 0.5 * left["untrained"][0]
    assert left["GradNorm"][1] < 0.5 * left["equal weights"][1]


def test_program_of_the_page_on_environments_runs(tmp_path):
    first, walker, terms = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "environments.md").read_text(), re.DOTALL)
    assert "in each of 2 worker processes" in run(first, tmp_path)
    if importlib.util.find_spec("Box2D"):
        # Box2D warns when it is imported; as an error, that ends the process by SIGSEGV.
        assert "BipedalWalker-v3: in Python" in run(walker + "print(model.sampler)\n", tmp_path, "default")
    if importlib.util.find_spec("mujoco"):
        assert run(terms, tmp_path).startswith("('forward', 'ctrl') [[")


@pytest.mark.parametrize("page", ["multi_objective", "diagnostics"])
def test_programs_of_a_page_run(page, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / f"{page}.md").read_text(), re.DOTALL)
    assert blocks
    printed = run("\n".join(blocks), tmp_path)
    for shown in outputs(ROOT / "docs" / f"{page}.md"):
        assert shown in printed


def test_numbers_in_readme_tables_are_not_typed_by_hand():
    """Speed tables stand between markers, which `make tables` fills from result files."""
    text = (ROOT / "README.md").read_text()
    outside = re.sub(r"<!-- bench:\S+ -->.*?<!-- /bench -->", "", text, flags=re.DOTALL)
    assert not re.search(r"^\|.*\d\s*(x|M|us|ms)\b.*\|$", outside, re.MULTILINE)

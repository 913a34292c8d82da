"""Every command line of README and the pages runs, as it stands, by a shell.

The lines of a page run one after the other in one folder, in which the files are that a reader would have. Broken on purpose: an
option misspelt on a page, a file that no line before has made -> the page red.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
# Beginnings of lines that are left out: they install, or test, or open a window that ends when somebody closes it.
LEFT_OUT = (
    "pip ",
    "python -m ",
    "source ",
    "make ",
    ".ci/run",
    "git ",
    "docker ",
    "sudo ",
    "apt",
    "fastars enjoy",
    "fastars watch",
)
OF_EXAMPLES = "python examples/"  # `test_examples.py` runs them
ELSEWHERE = {"ray"}  # two machines: test_ray_nodes_peers.py
SLOW = {"command", "plots", "presets", "tuning"}  # a minute and more
NEEDS = {"cc ": "gcc", "fastars plot": "matplotlib", "video": "imageio_ffmpeg", "--to onnx": "onnx", "fastars tune": "optuna"}


def lines_of(page):
    """The lines of the page's shell blocks, without what is left out."""
    text = "".join(BLOCK.findall(page.read_text(encoding="utf-8"))).replace("\\\n", " ")
    lines = []
    for line in text.splitlines():
        parts = [part for part in line.split(" && ") if not part.strip().startswith((*LEFT_OUT, OF_EXAMPLES))]
        lines += [" && ".join(parts)] if any(parts) else []
    return lines


PAGES = {page: lines for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))] if (lines := lines_of(page))}


def with_a_policy_of_the_original(folder, lines):
    """Put the file into a folder that a line names, for the environment that the line names."""
    named = re.search(r"--env (\S+)|fastars train (\S+)", next(line for line in lines if "lin_policy_plus.npz" in line))
    env = gymnasium.make(named[1] or named[2])
    n_act, n_obs = env.action_space.shape[0], env.observation_space.shape[0]
    policy = np.empty(3, object)
    policy[:] = [np.zeros((n_act, n_obs)), np.zeros(n_obs), np.ones(n_obs)]
    np.savez(folder / "lin_policy_plus.npz", policy)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.stem, marks=[pytest.mark.slow] if page.stem in SLOW else [])
        for page in PAGES
        if page.stem not in ELSEWHERE
    ],
)
def test_commands_of_a_page_run(page, tmp_path):
    lines = PAGES[page]
    for words, needed in NEEDS.items():
        if any(words in line for line in lines) and not (shutil.which(needed) or importlib.util.find_spec(needed)):
            pytest.skip(f"{page.name} has a line with {words!r}, which needs {needed}")
    if any("lin_policy_plus.npz" in line for line in lines):
        with_a_policy_of_the_original(tmp_path, lines)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    script = "\n".join(["set -euo pipefail", *lines])
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"

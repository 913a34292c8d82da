"""The documentation as pages, built by Sphinx with warnings as errors; and the snippets that need other people's packages.

Chromium measures the pages in frames of three widths. Broken on purpose -> test_no_page_scrolls_sideways red: the line of
wide.css with `min-width: 0` left out; code that does not wrap (`white-space: pre`).
"""

import html
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sphinx_inventory = pytest.importorskip("sphinx.util.inventory", reason="Sphinx is not installed: pip install '.[docs]'")
pytest.importorskip("furo", reason="furo is not installed: pip install '.[docs]'")
pytest.importorskip("myst_parser", reason="MyST is not installed: pip install '.[docs]'")

import fastars  # noqa: E402
from fastars import callbacks, exchange, kernels, logger, plot, reference, rllib, scalar, weighting  # noqa: E402

ROOT = Path(__file__).parent.parent
MODULES = [fastars, callbacks, exchange, logger, plot, reference, rllib, scalar, weighting]
PAGES = sorted((ROOT / "docs").glob("*.md"))
PROGRAMS = {
    page.stem: found
    for page in PAGES
    if (found := re.findall(r"<!-- run: peers -->\n```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
}
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (400, 1100, 1280)  # pixels: a phone, a small laptop, a window; tables on a phone may scroll in themselves
MEASURE = """<script>addEventListener("load", () => {
  const cut = [...document.querySelectorAll("pre, p, li")]
    .filter(n => n.scrollWidth > n.clientWidth + 1 && n.clientWidth && !n.closest(".table-wrapper"));
  const wider = document.documentElement.scrollWidth > innerWidth;
  parent.postMessage([document.title, innerWidth, wider, cut.map(n => n.innerText.slice(0, 60))], "*");
});</script>"""
FRAMES = """<!DOCTYPE html><pre id="found"></pre><script>
const found = [];
addEventListener("message", event => {
  found.push(event.data);
  document.getElementById("found").textContent = JSON.stringify(found);
});</script>"""
SPHINX_WITHOUT_RAY = """
import runpy
from importlib.machinery import PathFinder

found = PathFinder.find_spec
PathFinder.find_spec = lambda name, *others: None if name == "ray" else found(name, *others)
runpy.run_module("sphinx", run_name="__main__")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built pages: (folder, names of the API that they describe)."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", ROOT / "docs", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    with (folder / "objects.inv").open("rb") as file:
        inventory = sphinx_inventory.InventoryFile.load(file, "", lambda base, uri: uri)
    return folder, {name for kind, entries in inventory.items() if kind.startswith("py:") for name in entries}


def test_pages_are_built_without_a_warning(site):
    assert {page.stem for page in PAGES} <= {page.stem for page in site[0].glob("*.html")}


def test_pages_are_built_without_ray(tmp_path):
    """As after `pip install '.[docs]'`, the way of README."""
    command = [sys.executable, "-c", SPHINX_WITHOUT_RAY, "-q", "-W", "-b", "html", ROOT / "docs", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr


def test_pages_load_nothing_from_the_network(site):
    loaded = r"<(?:script|img|iframe|link)\b[^>]+(?:src|href)=\"(?:https?:)?//"
    assert [page.name for page in site[0].rglob("*.html") if re.search(loaded, page.read_text(encoding="utf-8"))] == []


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium")
def test_no_page_scrolls_sideways(site, tmp_path):
    folder = shutil.copytree(site[0], tmp_path / "site")
    pages = [page for page in folder.rglob("*.html") if "_static" not in page.parts]
    frames = ""
    for page in pages:
        page.write_text(page.read_text(encoding="utf-8").replace("</head>", MEASURE + "</head>"), encoding="utf-8")
        source = page.relative_to(folder).as_posix()
        frames += "".join(f'<iframe src="{source}" width="{width}" height="800" style="border:0"></iframe>' for width in WIDTHS)
    (folder / "frames.html").write_text(FRAMES + frames, encoding="utf-8")
    flags = "--headless --no-sandbox --disable-gpu --hide-scrollbars --disable-dev-shm-usage --allow-file-access-from-files"
    waits = ["--virtual-time-budget=30000", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    command = [BROWSER, *flags.split(), *waits, (folder / "frames.html").as_uri()]
    environment = {**os.environ, "HOME": os.environ.get("HOME", "/tmp")}
    dom = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200, env=environment).stdout
    found = json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)[1]))
    assert len(found) == len(pages) * len(WIDTHS) > 60
    assert [seen for seen in found if seen[2] or seen[3]] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_public_name_is_on_a_page(site, module):
    public = getattr(module, "__all__", None) or [
        name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__ and name[0] != "_"
    ]
    described = [name for name in public if inspect.isfunction(getattr(module, name)) or inspect.isclass(getattr(module, name))]
    assert len(described) > 2
    assert [name for name in described if f"{module.__name__}.{name}" not in site[1]] == []


def test_every_kernel_is_on_its_page(site):
    text = (site[0] / "kernels.html").read_text(encoding="utf-8")
    assert [name for name in kernels.__all__ if name not in text] == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_that_need_peers_run(name, tmp_path):
    program = "\n".join(PROGRAMS[name])
    for package in re.findall(r"^(?:from|import) (ray|sb3_contrib|stable_baselines3|torch|optuna)", program, re.MULTILINE):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install '.[compat]'")
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stderr
    assert done.stdout

"""The page of `fastars report` in a real browser, and before a real parser of HTML.

Chromium measures a copy of the page in frames of several widths, light and dark. BROKEN
"""

import json
import os
import re
import shutil
import subprocess
import time

import pytest
from test_report_page import CARTPOLE, MARKUP, page_of, train

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium")
LIGHT, DARK = "1", "0"  # of Chromium's setting preferredColorScheme
# What a script in a copy of the page finds out, and sends to the page around its frame.
MEASURE = """<script>
function channels(text) { return text.match(/[\\d.]+/g).map(Number); }
function light(text) {
  const parts = channels(text).slice(0, 3).map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
}
function behind(node) {
  for (let n = node; n; n = n.parentElement) {
    const colour = getComputedStyle(n).backgroundColor, parts = channels(colour);
    if (parts.length < 4 || parts[3] > 0) return colour;
  }
}
addEventListener("load", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = {};
  let least = 99, wide = [];
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || node.closest("svg, script")) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(behind(node))].sort((x, y) => x - y);
    least = Math.min(least, (b + 0.05) / (a + 0.05));
    const range = document.createRange();
    range.selectNodeContents(texts.currentNode);
    for (const box of range.getClientRects())
      if (box.right > innerWidth + 0.5 || box.left < -0.5) wide.push(texts.currentNode.data.slice(0, 60));
  }
  const lines = [...document.querySelectorAll("figure .line, figure .dots")].map(n => getComputedStyle(n).stroke);
  const strokes = lines.map(c => { const [a, b] = [light(c), light(behind(document.body))].sort((x, y) => x - y); return (b + 0.05) / (a + 0.05); });
  const boxes = [...document.querySelectorAll("figure .area svg")].map(n => n.getBoundingClientRect().width);
  const scrolls = [...document.querySelectorAll(".table")].filter(n => n.scrollWidth > n.clientWidth + 1).map(n => n.innerText.slice(0, 80));
  const overlaps = [...document.querySelectorAll(".ticks-x, .ticks-y")].flatMap(axis => {
    const r = [...axis.children].map(n => n.getBoundingClientRect());
    return r.flatMap((p, i) => r.slice(i + 1).filter(q => p.left < q.right && q.left < p.right && p.top < q.bottom && q.top < p.bottom).map(() => axis.innerText));
  });
  parent.postMessage({width: innerWidth, page: document.documentElement.scrollWidth, least, wide, scrolls, overlaps,
    strokes: Math.min(99, ...strokes), boxes, paper: behind(document.body), requests: performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:"))}, "*");
});
</script>"""
FRAME = """<!DOCTYPE html><title>frame</title><iframe src="copy.html" width="{width}" height="900" style="border:0"></iframe><pre id="found"></pre>
<script>addEventListener("message", event => {{ document.getElementById("found").textContent = JSON.stringify(event.data); }});</script>"""


def browse(*arguments, timeout=90):
    """Run Chromium without a window. In a container it has no sandbox of its own."""
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-dev-shm-usage",
        "--virtual-time-budget=4000",
    ]
    environment = {**os.environ, "HOME": os.environ.get("HOME", "/tmp")}
    return subprocess.run(
        [BROWSER, *flags, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, env=environment
    ).stdout


def measured(text, folder, width, scheme):
    """What Chromium finds on a page of so many pixels."""
    folder.mkdir(exist_ok=True)
    (folder / "copy.html").write_text(text.replace("</body>", f"{MEASURE}</body>"), encoding="utf-8")
    (folder / "frame.html").write_text(FRAME.format(width=width), encoding="utf-8")
    options = ("--allow-file-access-from-files", f"--blink-settings=preferredColorScheme={scheme}", "--window-size=1400,1000")
    dom = browse(*options, f"--user-data-dir={folder / 'profile'}", "--dump-dom", (folder / "frame.html").as_uri())
    import html

    return json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)[1]))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages of one run, of several, of several rewards, and of names that are long or look like markup."""
    runs = tmp_path_factory.mktemp("runs")
    several = [train(runs / f"n{n}_{seed}", *CARTPOLE, "--n-delta", str(n), "--seed", str(seed)) for n in (2, 6) for seed in (1, 2)]
    multi = train(runs / "multi", "fastars/mo-pendulum-v0", "--weighting", "std", "--total-timesteps", "6000", "--seed", "3")
    long = shutil.copytree(several[0], runs / ("a_long_name_" * 15 + MARKUP.replace("/", "")))
    return {"one": page_of(several[0]), "several": page_of(*several), "rewards": page_of(multi), "names": page_of(long, several[1])}


WHICH = pytest.mark.parametrize("which", ["one", "several", "rewards", "names"])


@needs_browser
@WHICH
@pytest.mark.parametrize(("width", "scheme"), [(360, LIGHT), (360, DARK), (1200, DARK)])
def test_a_page_fits_and_can_be_read(pages, which, width, scheme, tmp_path):
    found = measured(pages[which], tmp_path / "browser", width, scheme)
    assert found["width"] == width
    assert found["page"] <= width, "the page scrolls sideways"
    assert not found["wide"]
    assert not found["scrolls"]
    assert not found["overlaps"]
    assert found["least"] >= 4.5
    assert found["strokes"] >= 3.0
    assert all(box > 0.6 * min(width, 900) / 2 for box in found["boxes"])
    assert found["paper"] == ("rgb(255, 255, 255)" if scheme == LIGHT else "rgb(20, 22, 25)")
    assert not found["requests"]


@needs_browser
def test_a_page_can_be_printed(pages, tmp_path):
    (tmp_path / "page.html").write_text(pages["several"], encoding="utf-8")
    browse(f"--user-data-dir={tmp_path / 'profile'}", f"--print-to-pdf={tmp_path / 'page.pdf'}", (tmp_path / "page.html").as_uri())
    content = (tmp_path / "page.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 12


@WHICH
def test_html5lib_finds_no_fault(pages, which):
    html5lib = pytest.importorskip("html5lib", reason="needs html5lib: pip install html5lib")
    parser = html5lib.HTMLParser(strict=True)  # which raises at the first error of the standard's parser
    parser.parse(pages[which])


@WHICH
def test_tidy_finds_no_fault(pages, which):
    tidy = shutil.which("tidy")
    if tidy is None:
        pytest.skip("needs tidy: apt-get install tidy")
    said = subprocess.run([tidy, "-q", "-e", "--gnu-emacs", "no"], input=pages[which], capture_output=True, text=True).stderr
    known = r"is not recognized|not approved by W3C|proprietary attribute"  # HTML is younger than tidy
    assert not [line for line in said.splitlines() if not re.search(known, line)]

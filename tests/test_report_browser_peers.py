"""The page of `fastars report` in a real browser, and before a real parser of HTML.

Chromium measures a copy of the page in frames of several widths, light and dark.

Broken on purpose, one at a time: a body of at least 400 pixels, long words that stay whole, cells in one line, no dark colours,
fainter texts on dark paper, 25 labels at an axis, intervals that break anywhere -> test_a_page_fits_and_can_be_read red; a `div` in
a `p` -> test_html5lib_finds_no_fault and test_tidy_finds_no_fault red.
"""

import html
import json
import os
import re
import shutil
import subprocess

import pytest
from test_report_page import CARTPOLE, MARKUP, page_of, train

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium")
WIDTHS = (360, 1200)  # pixels: a phone, a window
LIGHT, DARK = "1", "0"  # of Chromium's setting preferredColorScheme
# What a script in a copy of the page finds out, and sends to the page around its frame.
MEASURE = """<script>
const channels = text => text.match(/[\\d.]+/g).map(Number);
const linear = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
function luminance(text) {
  const [r, g, b] = channels(text).map(linear);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}
function behind(node) {
  for (let n = node; n; n = n.parentElement) {
    const colour = getComputedStyle(n).backgroundColor, parts = channels(colour);
    if (parts.length < 4 || parts[3] > 0) return colour;
  }
}
function textFaults() {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), beyond = [];
  let least = 99;
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement, range = document.createRange();
    if (!texts.currentNode.data.trim() || node.closest("svg, script")) continue;
    least = Math.min(least, contrast(getComputedStyle(node).color, behind(node)));
    range.selectNodeContents(texts.currentNode);
    for (const box of range.getClientRects())
      if (box.right > innerWidth + 0.5 || box.left < -0.5) beyond.push(texts.currentNode.data.slice(0, 60));
  }
  return {least, beyond};
}
function brokenNumbers() {
  const cells = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), broken = [];
  while (cells.nextNode()) {
    const text = cells.currentNode, range = document.createRange();
    if (!text.parentElement.closest("td, tbody th")) continue;
    for (const found of text.data.matchAll(/(?<![^\\s])[-\\d][\\d,.]+(?![^\\s])/g)) {
      range.setStart(text, found.index);
      range.setEnd(text, found.index + found[0].length);
      if (range.getClientRects().length > 1) broken.push(found[0]);
    }
  }
  return broken;
}
function overlap(axis) {
  const r = [...axis.children].map(n => n.getBoundingClientRect());
  const meet = (p, q) => p.left < q.right && q.left < p.right && p.top < q.bottom && q.top < p.bottom;
  return r.some((p, i) => r.slice(i + 1).some(q => meet(p, q)));
}
addEventListener("load", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
  const all = selector => [...document.querySelectorAll(selector)], paper = behind(document.body);
  const names = performance.getEntriesByType("resource").map(entry => entry.name);
  parent.postMessage({
    name: location.hash.slice(1), width: innerWidth, page: document.documentElement.scrollWidth, paper, ...textFaults(),
    scrolls: all(".table").filter(n => n.scrollWidth > n.clientWidth + 1).map(n => n.innerText.slice(0, 80)),
    overlaps: all(".ticks-x, .ticks-y").filter(overlap).map(n => n.innerText),
    lines: Math.min(99, ...all("figure .line, figure .dots").map(n => contrast(getComputedStyle(n).stroke, paper))),
    boxes: all("figure .area svg").map(n => n.getBoundingClientRect().width),
    broken: brokenNumbers(),
    requests: names.filter(name => !name.startsWith("data:")),
  }, "*");
});
</script>"""
FRAMES = """<!DOCTYPE html><title>frames</title><pre id="found"></pre>
<script>
const found = [];
addEventListener("message", event => {
  found.push(event.data);
  document.getElementById("found").textContent = JSON.stringify(found);
});
</script>"""


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


def measured(pages, folder, scheme):
    """Return what Chromium finds on each page in frames of each width, by (page, width)."""
    frames = ""
    for name, text in pages.items():
        (folder / f"{name}.html").write_text(text.replace("</body>", f"{MEASURE}</body>"), encoding="utf-8")
        frames += "".join(
            f'<iframe src="{name}.html#{name}" width="{width}" height="900" style="border:0"></iframe>' for width in WIDTHS
        )
    (folder / "frames.html").write_text(FRAMES + frames, encoding="utf-8")
    colours = f"--blink-settings=preferredColorScheme={scheme}"
    flags = ("--allow-file-access-from-files", "--window-size=1400,1000", f"--user-data-dir={folder / 'profile'}")
    dom = browse(*flags, colours, "--dump-dom", (folder / "frames.html").as_uri())
    found = json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)[1]))
    return {(each["name"], each["width"]): each for each in found}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages of one run, of several, of several rewards, and of names that are long or look like markup."""
    runs = tmp_path_factory.mktemp("runs")
    several = [train(runs / f"n{n}_{seed}", *CARTPOLE, "--n-delta", str(n), "--seed", str(seed)) for n in (2, 6) for seed in (1, 2)]
    multi = train(runs / "multi", "fastars/mo-pendulum-v0", "--weighting", "std", "--total-timesteps", "6000", "--seed", "3")
    long = shutil.copytree(several[0], runs / ("a_long_name_" * 15 + MARKUP.replace("/", "")))
    numbers = train(runs / "numbers", "Pendulum-v1", "--total-timesteps", "1200000", "--seed", "1", "--eval-episodes", "20")
    return {
        "one": page_of(several[0]),
        "numbers": page_of(numbers),
        "several": page_of(*several),
        "rewards": page_of(multi),
        "names": page_of(long, several[1]),
    }


WHICH = pytest.mark.parametrize("which", ["one", "several", "rewards", "names", "numbers"])


@pytest.fixture(scope="module")
def found(pages, tmp_path_factory):
    return {scheme: measured(pages, tmp_path_factory.mktemp("browser"), scheme) for scheme in (LIGHT, DARK)}


@needs_browser
@WHICH
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_a_page_fits_and_can_be_read(found, which, width, scheme):
    seen = found[scheme][which, width]
    assert seen["page"] <= width, "the page scrolls sideways"
    assert not seen["beyond"], "texts are cut at the edge"
    assert not seen["scrolls"], "tables scroll sideways"
    assert not seen["broken"], "numbers go on in the next line"
    assert not seen["overlaps"]
    assert seen["least"] >= 4.5, "contrast of texts"
    assert seen["lines"] >= 3.0, "contrast of lines"
    assert all(box > 0.3 * min(width, 900) for box in seen["boxes"])
    assert seen["paper"] == ("rgb(255, 255, 255)" if scheme == LIGHT else "rgb(20, 22, 25)")
    assert not seen["requests"]


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

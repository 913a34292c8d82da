"""Take the screenshots of docs/: `python -m bench.screenshots`, which `make screenshots` runs. It needs Chromium and Pillow.

A screenshot carries a mark of what it shows: the style, the curves and the tables. `tests/test_report_page.py` makes the same page
again, and sees a screenshot that is older than the code or than what its commands give.
"""

import contextlib
import io
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from fastars.cli import main as fastars
from fastars.plot.files import mark_of

ROOT = Path(__file__).parent.parent
REPORT = ROOT / "docs" / "images" / "screens" / "report.png"
RUNS = [(n, seed) for n in (2, 8) for seed in range(5)]
_SIZE, _COLOURS = (760, 900), 48


def make_page(folder: Path) -> str:
    """Train the runs of docs/command.md in a folder, and return the page about them."""
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for n, seed in RUNS:
            settings = [
                "--n-delta",
                str(n),
                "--seed",
                str(seed),
                "--total-timesteps",
                "30000",
                "--eval-episodes",
                "20",
                "--no-progress",
            ]
            assert fastars(["train", "CartPole-v1", *settings]) == 0
        folders = sorted(map(str, Path("runs").iterdir()), key=lambda name: int(name.rpartition("_")[2]))
        assert fastars(["report", *folders, "--out", "report.html"]) == 0
    return (folder / "report.html").read_text(encoding="utf-8")


def mark(page: str) -> str:
    """Return the mark of a page: of its style, curves and evaluations, without versions, times and the machine."""
    shown = [re.search(r"<style>.*?</style>", page, re.DOTALL)[0], re.search(r"<main>.*?id=\"settings\"", page, re.DOTALL)[0]]
    return mark_of({"screenshot": shown})


def take(page: Path, picture: Path, text: str) -> None:
    """Let Chromium draw a page into a picture of few colours, with a text in it."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        raise SystemExit("a screenshot needs Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
        taken = Path(profile) / "taken.png"
        size = f"--window-size={_SIZE[0]},{_SIZE[1]}"
        subprocess.run([browser, *flags, size, f"--screenshot={taken}", page.as_uri()], check=True, capture_output=True)
        information = PngInfo()
        information.add_text("Description", text)
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.open(taken).convert("RGB").quantize(_COLOURS).save(picture, optimize=True, pnginfo=information)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        text = make_page(Path(folder))
        take(Path(folder) / "report.html", REPORT, mark(text))
    print(REPORT.relative_to(ROOT))


if __name__ == "__main__":
    main()

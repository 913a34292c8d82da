"""Build the source distribution and the wheel, look at both, and run the fast tests with the installed wheel.

`make packages` does that with the newest Python and packages that there are, and `make lowest` with the lowest versions that
`pyproject.toml` allows. The files that git knows are copied first: nothing that lies about in the working tree is packed. The tests
come from the source distribution, whose `fastars/` is removed: what they import is the wheel, and what they read was packed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
NEWEST = "3.13"  # the Python of `make packages`; that of `make lowest` is the oldest one that pyproject.toml allows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lowest", action="store_true", help="install the lowest versions that pyproject.toml allows")
    parser.add_argument("--python", help="the interpreter that gets the wheel; default: another one than this, if there is one")
    parser.add_argument("--no-tests", action="store_true", help="build the distributions and look at them")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="put the distributions there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sdist, wheel = built(Path(folder), tracked_files())
        look_at(sdist, wheel)
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            for file in (sdist, wheel):
                shutil.copy(file, options.keep)
        if not options.no_tests:
            version = oldest_python() if options.lowest else NEWEST
            python = options.python or interpreter(version)
            test(Path(folder), sdist, wheel, python, options.lowest)


def run(*command, **options):
    print("+", *command, flush=True)
    subprocess.run([str(word) for word in command], check=True, **options)


def tracked_files():
    """The files that git knows, by their paths in the repository; outside of a repository, all there are."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
        return sorted(name for name in listed.stdout.split("\0") if name and (ROOT / name).exists())
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file())


def built(folder, files):
    """Copy the files, and build both distributions from the copy: (sdist, wheel)."""
    for name in files:
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / "source" / name)
    command = [sys.executable, "-m", "build", "--outdir", folder / "dist", folder / "source"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    (sdist,), (wheel,) = (folder / "dist").glob("*.tar.gz"), (folder / "dist").glob("*.whl")
    return sdist, wheel


def look_at(sdist, wheel):
    """Check metadata and contents of both."""
    run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
    run(sys.executable, "-m", "check_wheel_contents", wheel)
    files = set(tracked_files())
    with tarfile.open(sdist) as archive:
        packed = {member.name.partition("/")[2] for member in archive if member.isfile()}
    made = {name for name in packed if name == "PKG-INFO" or name.startswith("fastars.egg-info/")}
    refuse(files - packed, "files of the repository that the source distribution lacks")
    refuse(packed - files - made, "files of the source distribution that the repository lacks")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    info = next(name.partition("/")[0] for name in names if ".dist-info/" in name)
    names_in_info = "METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt", "licenses/LICENSE"
    written = {f"{info}/{name}" for name in names_in_info}
    ours = {name for name in files if name.startswith("fastars/")}
    refuse(ours ^ (set(names) - written), "files of fastars/ that differ from the wheel's")
    refuse(written - set(names), "files that the wheel lacks")


def refuse(names, what):
    if names:
        sys.exit(f"{what}: {', '.join(sorted(names))}")


def oldest_python():
    """The oldest version of Python that pyproject.toml allows."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    return wanted.removeprefix(">=")


def interpreter(version):
    """The path of a Python of this version: on PATH, or among those of pyenv; otherwise of this one, with a word about it."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = sorted((pyenv / "versions").glob(f"{version}.*/bin/python"))
    for candidate in filter(None, (shutil.which(f"python{version}"), *found)):
        asked = subprocess.run([candidate, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True)
        if asked.returncode == 0:  # a shim of pyenv may name a version that is switched off
            return asked.stdout.strip()
    print(f"there is no Python {version} here: the tests run in {sys.version.split()[0]}", flush=True)
    return sys.executable


def test(folder, sdist, wheel, python, is_lowest):
    """Install the wheel in an environment of its own, and run the fast tests of the source distribution with it."""
    shutil.unpack_archive(sdist, folder / "unpacked")
    (tree,) = (folder / "unpacked").iterdir()
    shutil.rmtree(tree / "fastars")
    bare = environment(folder / "bare", python, [wheel])
    run(bare, "-c", "import fastars.ars", cwd=folder)  # without an extra
    # The lowest versions are those of the packages that are asked for: of a wheel, this is the wheel.
    lowest = ["--resolution", "lowest-direct", "-r", tree / "pyproject.toml", "--extra", "test"], ["--no-deps", wheel]
    python = environment(folder / "full", python, *(lowest if is_lowest else [[f"{wheel}[test]"]]))
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    variables["FASTARS_CACHE_DIR"] = str(folder / "kernels")
    run(python.with_name("fastars"), "--version", cwd=folder, env=variables)
    where = [python, "-c", "import fastars; print(fastars.__file__)"]
    assert "site-packages" in subprocess.run(where, cwd=tree, env=variables, capture_output=True, text=True, check=True).stdout
    fast = ["-q", "-n", "auto", "--dist", "loadfile", "-p", "no:cacheprovider", "@tests/fast.txt"]
    run(python, "-m", "pytest", *fast, cwd=tree, env=variables)


def environment(folder, python, *installs):
    """Make a virtual environment, and install in it: the path of its interpreter."""
    uv = [sys.executable, "-m", "uv"]
    run(*uv, "venv", "-q", "--no-python-downloads", "--python", python, folder)
    path = folder / "bin" / "python"
    for words in installs:
        run(*uv, "pip", "install", "-q", "--python", path, *words)
    run(*uv, "pip", "list", "--python", path)
    return path


if __name__ == "__main__":
    main()

"""Fuzz the readers with atheris (`pip install atheris`): `cd tests && python -m fuzz.run --minutes 10 [TARGET ...]`.

`make fuzz` does that. The time is shared out among the targets, each in a process of its own. What is found is kept in
`build/fuzz/<target>` and ends the run with exit code 1; `python -m fuzz.run --replay FILE TARGET` shows it again.

The last long run, some 40 s for each of 16 targets (model and tasks 50) on one CPU of a busy machine, of version 3.0 of atheris
and Python 3.11: 877,402 executions, nothing found in fastars. Coverage and features by target: checkpoint_file 121, 235;
manifest 95, 115; model 490, 722; tasks 651, 829; episode 261, 384; foreign 367, 600; sb3_text 235, 263; sb3_pickle 313, 604;
statistics 304, 564; original 285, 570; array 98, 116; pickles 239, 741; config 230, 601; progress 81, 171; monitor 88, 146;
evaluations 57, 83. Later, on a busier machine: episode 17,230 executions in 144 s, coverage 241, features 473; failure 25,715 in
180 s, 240, 359; algorithm 7,509 in 184 s, 666, 1310; run_folder 113 in 190 s, 1532, 2299. Nothing found.
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

BUILD = Path(__file__).parents[2] / "build" / "fuzz"
_INSTRUMENTED = (
    *(
        "fastars.files.checkpoint",
        "fastars.files.manifest",
        "fastars.files.stored_zip",
        "fastars.exchange",
        "fastars.files.tables",
        "fastars.training.model_file",
        "fastars.training.checkpoint_validation",
        "fastars.training.config",
        "fastars.training.setting_checks",
    ),
    *(
        "fastars.rllib",
        "fastars.cli",
        "fastars.training.stored_env",
        "fastars.replay",
        "fastars.plot",
        "fastars.logger.monitor",
        "fastars.cli.plan",
        "fastars.cli.run_log",
        "fastars.training.objectives",
    ),
    *("fastars.weighting", "pickletools", "zipfile", "tomllib", "json.decoder", "csv"),
)
_MAX_BYTES, _SECONDS, _MIB = 1 << 16, 5, 2048


def fuzz(target, seconds):
    """Fuzz one target in this process, which does not return."""
    import atheris

    import fastars.envs
    import fastars.samplers  # noqa: F401 - what Numba compiles can't be instrumented: it is imported before

    with atheris.instrument_imports(include=list(_INSTRUMENTED)):
        from fuzz.targets import CORPUS, TARGETS
    for path in sorted((CORPUS / target).iterdir()):  # what is imported and compiled at first takes no time of an execution
        TARGETS[target](path.read_bytes())
    own = BUILD / target
    own.mkdir(parents=True, exist_ok=True)
    arguments = [f"-max_total_time={seconds}", f"-max_len={_MAX_BYTES}", f"-timeout={_SECONDS}", f"-rss_limit_mb={_MIB}"]
    atheris.Setup(
        ["fuzz", *arguments, f"-artifact_prefix={own}/", "-print_final_stats=1", str(own), str(CORPUS / target)], TARGETS[target]
    )
    atheris.Fuzz()


def report(target, text, code, seconds):
    """A line of what was done."""
    last = max(re.findall(r"#\d+\s.*cov: \d+ ft: \d+", text), key=lambda line: int(line[1:].split()[0]), default="#0 cov: 0 ft: 0")
    executions = re.findall(r"stat::number_of_executed_units: (\d+)", text) or re.findall(r"#(\d+)", last)
    coverage, features = re.search(r"cov: (\d+) ft: (\d+)", last).groups()
    found = "nothing found" if code == 0 else f"FOUND, exit code {code}"
    return (
        f"{target:16} {int(executions[-1]):>9,} executions in {seconds:4.0f} s, coverage {coverage}, features {features}: {found}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--replay", type=Path, metavar="FILE")
    parser.add_argument("--seconds", type=int, help=argparse.SUPPRESS)  # of a child
    arguments = parser.parse_args()
    if arguments.seconds is not None:
        fuzz(arguments.targets[0], arguments.seconds)
    from fuzz.targets import TARGETS

    if arguments.replay is not None:
        print(TARGETS[arguments.targets[0]](arguments.replay.read_bytes()))
        return 0
    chosen, n_found = arguments.targets or list(TARGETS), 0
    seconds = max(int(60 * arguments.minutes / len(chosen)), 1)
    for target in chosen:
        start = time.perf_counter()
        command = [sys.executable, "-m", "fuzz.run", "--seconds", str(seconds), target]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        text = done.stdout.decode("utf-8", "replace")
        n_found += done.returncode != 0
        print(report(target, text, done.returncode, time.perf_counter() - start), flush=True)
        if done.returncode:
            print(text[-3000:], flush=True)
    return 1 if n_found else 0


if __name__ == "__main__":
    sys.exit(main())

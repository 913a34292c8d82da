"""Measure what a long session of runs takes of a machine: `python tests/soak.py --minutes 30` prints a JSON object per sample.

A round does what users do in hours: it trains on with checkpoints and evaluations, kills a worker process, makes models and drops
them, in the kernels, in MuJoCo and in Python, with several rewards, saved, loaded and logged. `--leak N` keeps N bytes more with
every iteration of the run that goes on, to see whether the measure finds it.
"""

import argparse
import ctypes
import gc
import json
import math
import os
import sys
import tempfile
import time
from pathlib import Path

import faulty_envs
import numpy as np

from fastars import ARS, evaluate_policy
from fastars.callbacks import CheckpointCallback, EvalCallback
from fastars.logger import Logger

N_ITERATIONS = 20  # of the run that goes on, in a round
LEAST_ROUNDS = 6  # on a busy machine, however short the time
_SHM = Path("/dev/shm")


def sample(start, n_rounds):
    """Return counts of the resources that this process holds now.

    Memory is in KiB: RSS as the kernel counts it, and the bytes that the C library has given out, without the gaps between them.
    Blocks are Python's own.
    """
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "seconds": round(time.monotonic() - start, 3),
        "rounds": n_rounds,
        "rss": pages * os.sysconf("SC_PAGE_SIZE") / 1024,
        "given": given_out() / 1024,
        "blocks": sys.getallocatedblocks(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "children": len(Path("/proc/thread-self/children").read_text().split()),
        "temporaries": sum(len(files) + len(folders) for _, folders, files in os.walk(tempfile.gettempdir())),
    }


class _MallInfo(ctypes.Structure):
    """`struct mallinfo2` of the GNU C library."""

    names = "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names]


def given_out():
    """Bytes that malloc has given out, in all of its arenas and in maps of their own; NaN if the C library does not say."""
    mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo2 is None:
        return math.nan
    mallinfo2.restype = _MallInfo
    found = mallinfo2()
    return found.uordblks + found.hblkhd


def shared_memory():
    """Names in /dev/shm, but for those that another process has mapped."""
    others = [path for path in Path("/proc").glob("[0-9]*") if path.name != str(os.getpid())]
    mapped = "\n".join(_maps(path) for path in others)
    return {path.name for path in _SHM.iterdir() if str(path) not in mapped} if _SHM.exists() else set()


def left_of(before):
    """Names that have come since then and stay: those of other processes go, and may be seen before they are mapped."""
    left, deadline = shared_memory() - before, time.monotonic() + 20.0
    while left and time.monotonic() < deadline:
        time.sleep(0.1)
        left &= shared_memory()
    return left


def _maps(process):
    try:
        return (process / "maps").read_text()
    except OSError:  # it has ended, or is somebody else's
        return ""


class LongRun:
    """A run that goes on from round to round, with checkpoints, evaluations and a log."""

    def __init__(self, folder, leak):
        self.folder, self.leak, self.kept = folder, leak, []
        self.model = ARS("LinearPolicy", "CartPole-v1", seed=0, noise_size=1 << 16, n_threads=2)

    def go_on(self):
        """Train on; the log begins anew, and the round's checkpoints, one for every 500 steps, are removed."""
        model = self.model
        model.set_logger(Logger(self.folder, ("csv", "json")))
        end = model.iteration + N_ITERATIONS
        evaluation = EvalCallback(eval_freq=500, log_path=self.folder, best_model_save_path=self.folder, verbose=0)
        callbacks = [CheckpointCallback(500, self.folder), evaluation, lambda *_: self._after(end)]
        model.learn(10**12, callbacks, reset_num_timesteps=False)
        model.logger.close()
        for path in self.folder.glob("*_steps.zip"):
            path.unlink()

    def _after(self, end):
        if self.leak:
            self.kept.append(np.ones(self.leak, np.int8))  # written to: a page that nobody touched is in no RSS
        return self.model.iteration < end


def in_workers(model):
    """An iteration in two worker processes, one of which is killed before it; how many were killed."""
    pool = model.sampler._runner
    killed = pool._workers[:1]
    for worker in killed:
        worker.process.kill()
        worker.process.wait()
    model.learn(1, reset_num_timesteps=False)
    pool.start(wait=True)  # for the one in its place, which the iteration may have done without
    return len(killed)


def short_runs(folder, n):
    """Runs of new models, dropped when they are done."""
    for env, settings in (
        ("Pendulum-v1", {"variant": "V2"}),
        ("InvertedPendulum-v5", {"variant": "V2", "n_delta": 4}),
        ("fastars/mo-pendulum-v0", {"n_delta": 4, "weighting": "gradnorm", "max_episode_steps": 50}),
        (faulty_envs.Line, {"n_delta": 4}),
    ):
        model = ARS("LinearPolicy", env, **{"seed": n, "noise_size": 1 << 16, "n_threads": 2, "monitor_dir": folder, **settings})
        model.learn(1)
        model.save(folder / "short")
        model.close()
    loaded = ARS.load(folder / "short.zip", env=faulty_envs.Line)
    loaded.learn(1, reset_num_timesteps=False)
    evaluate_policy(loaded, faulty_envs.Line(), 2, seed=n)


def soak(minutes, leak, say):
    """A round, which compiles what is not kept, and rounds for so many minutes, but a few at least, with a sample after each."""
    start, before = None, shared_memory()
    with tempfile.TemporaryDirectory() as name:
        folder, n_rounds, n_killed = Path(name), 0, 0
        run, parallel = LongRun(folder, leak), ARS("LinearPolicy", faulty_envs.Line, seed=0, noise_size=1 << 16, n_workers=2)
        while n_rounds < LEAST_ROUNDS or time.monotonic() - start < 60.0 * minutes:
            run.go_on()
            n_killed += in_workers(parallel)
            short_runs(folder, n_rounds)
            n_rounds, start = n_rounds + 1, start or time.monotonic()
            say(sample(start, n_rounds))
        restarts = parallel.worker_restarts
        parallel.close()
    say(
        {
            "killed": n_killed,
            "worker restarts": restarts,
            "shared memory": sorted(left_of(before)),
            "left": os.listdir(tempfile.gettempdir()),
        }
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--leak", type=int, default=0, metavar="BYTES")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        soak(arguments.minutes, arguments.leak, lambda found: print(json.dumps(found), flush=True))


if __name__ == "__main__":
    main()

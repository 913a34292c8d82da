"""A process that lacks what another operating system lacks: `python other_systems.py SYSTEM PROGRAM`, in a folder for its files.

Python and the libraries are those of this machine, so what they do on another system is not seen here. What fastars itself asks of
the system is seen: names that Windows does not have are gone, a folder can't be opened, an open file can't be replaced or removed,
texts are in ASCII if nothing says otherwise, `/proc` and `/sys` are empty.
"""

import builtins
import contextlib
import importlib
import os
import pathlib
import signal
import subprocess
import sys

MODULES = {"win32": ("fcntl", "resource", "termios", "tty", "pty", "pwd", "grp", "syslog"), "darwin": ()}
OF_OS = {
    "win32": (
        *("fork", "forkpty", "register_at_fork", "posix_spawn", "posix_spawnp", "wait", "wait3", "wait4", "killpg", "nice"),
        *("getuid", "geteuid", "getgid", "getegid", "getresuid", "getgroups", "getpgid", "getpgrp", "setpgid", "setsid"),
        *("sched_getaffinity", "sched_setaffinity", "sched_yield", "sysconf", "confstr", "uname", "getloadavg", "statvfs"),
        *("pread", "pwrite", "chown", "fchown", "lchown", "mkfifo", "mknod", "ttyname", "openpty", "sendfile", "posix_fallocate"),
        *("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_ASYNC", "O_DIRECTORY", "O_CLOEXEC", "O_SYNC", "O_DSYNC"),
    ),
    "darwin": ("sched_getaffinity", "sched_setaffinity", "getresuid", "posix_fallocate", "posix_fadvise", "O_DIRECT"),
}
OF_SIGNAL = {
    "win32": (
        *("SIGKILL", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGIO", "SIGPIPE", "SIGCHLD", "SIGSTOP", "SIGTSTP"),
        *("SIGWINCH", "SIGXCPU", "SIGXFSZ", "alarm", "setitimer", "pthread_kill", "pthread_sigmask", "sigwait", "siginterrupt"),
    ),
    "darwin": ("SIGRTMIN", "SIGRTMAX", "SIGPWR", "SIGSTKFLT"),
}
# They look at the system when they are imported, and would find another one than they were built for.
LIBRARIES = (
    *("multiprocessing.connection", "socket", "tempfile", "shutil", "asyncio", "zipfile", "platform", "ctypes.util", "getpass"),
    *("numpy", "numba", "numba.np.ufunc.parallel", "numba.core.caching", "llvmlite.binding", "gymnasium", "gymnasium.vector"),
    *("cloudpickle", "tyro", "rich.console", "rich.live", "rich.progress", "gymnasium.envs.mujoco", "mujoco"),
)


def become(system):
    """Take away from this process what it would not have on another system."""
    for name in LIBRARIES:
        try:
            importlib.import_module(name)
        except ImportError:
            assert name == "mujoco" or name.startswith("gymnasium.envs"), name
    for name in MODULES[system]:
        sys.modules[name] = None
    for module, names in ((os, OF_OS[system]), (signal, OF_SIGNAL[system])):
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    hide_proc()
    if system == "win32":
        keep_open_files()
        subprocess.Popen.kill = subprocess.Popen.terminate  # on Windows they are one
    sys.platform = system


def hide_proc():
    """Let files of `/proc` and `/sys` be missing."""
    usual, read = builtins.open, pathlib.Path.read_text

    def refuse(path):
        if str(path).startswith(("/proc/", "/sys/")):
            raise FileNotFoundError(2, "No such file or directory", str(path))

    def open_(file, *arguments, **options):
        refuse(file)
        return usual(file, *arguments, **options)

    def read_text(path, *arguments, **options):
        refuse(path)
        return read(path, *arguments, **options)

    builtins.open, pathlib.Path.read_text = open_, read_text


def keep_open_files():
    """Refuse to open folders, and to replace or remove a file that is open, as Windows does."""
    open_, replace, unlink, listed, target = os.open, os.replace, os.unlink, os.listdir, os.readlink

    def refuse(*paths):
        opened = set()
        for descriptor in listed("/proc/self/fd"):
            try:
                opened.add(target(f"/proc/self/fd/{descriptor}"))
            except OSError:  # the one of the list itself
                continue
        for path in paths:
            if os.path.realpath(path) in opened:
                raise PermissionError(13, "The process cannot access the file because it is being used", str(path))

    def open_no_folder(path, *arguments, **options):
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", str(path))
        return open_(path, *arguments, **options)

    def replace_closed(source, destination, **options):
        refuse(source, destination)
        replace(source, destination, **options)

    def unlink_closed(path, **options):
        refuse(path)
        unlink(path, **options)

    os.open, os.replace, os.rename, os.unlink, os.remove = (
        open_no_folder,
        replace_closed,
        replace_closed,
        unlink_closed,
        unlink_closed,
    )
    importlib.import_module("shutil")._use_fd_functions = False


# --- Programs


def train():
    """Train, save over a file, load, go on: print the hash of theta."""
    from test_other_systems import SETTINGS, digest

    from fastars import ARS

    model = ARS(**SETTINGS).learn(2_000)
    for _ in range(2):
        model.save("model.zip")
    print(digest(ARS.load("model.zip").learn(2_000, reset_num_timesteps=False)))


def command():
    """Train and resume by the command, and use what it wrote."""
    from test_other_systems import COMMANDS

    from fastars.cli import main

    for line in COMMANDS:
        assert main(line.split()) == 0, line


def python():
    """Step environments in Python; print how, and the error for worker processes."""
    from fastars import ARS

    for settings in ({}, {"n_workers": 2}):
        try:
            with contextlib.closing(ARS("LinearPolicy", "CartPole-v1", seed=1, n_delta=2, compiled=False, **settings)) as model:
                print(model.learn(1).sampler.description)
        except ValueError as error:
            print(error)


def mujoco():
    """Train in MuJoCo where it may not be compiled; print how, and the errors where it must be."""
    import gymnasium

    from fastars import ARS, MujocoTask

    model = ARS("LinearPolicy", "InvertedPendulum-v5", seed=1, n_delta=2).learn(1)
    print(model.sampler.description)
    model.save("model.zip")
    print(ARS.load("model.zip").iteration)
    ways = (
        lambda: ARS("LinearPolicy", "InvertedPendulum-v5", compiled=True),
        lambda: MujocoTask("<mujoco/>", lambda task, sim, observation: None, lambda task, sim, action, before: 0.0, n_obs=1),
        lambda: gymnasium.make_vec("fastars/InvertedPendulum-v5", 2),
    )
    for way in ways:
        try:
            way()
        except ValueError as error:
            print(error)


def doctor():
    """Print what `fastars doctor` finds."""
    import json

    from fastars.cli.doctor import examine

    print(json.dumps({key: value for key, value in examine().items() if key in ("checks", "problems", "threads")}))


if __name__ == "__main__":
    become(sys.argv[1])
    {each.__name__: each for each in (train, command, python, mujoco, doctor)}[sys.argv[2]]()

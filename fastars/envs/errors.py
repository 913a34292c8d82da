"""Errors about environments: one that has no compiled form, a simulator that failed, worker processes that could not run one."""


class UnsupportedEnvError(ValueError):
    """The environment can't run in compiled kernels; the message gives the reason and the name of the environment."""


class OtherSystemError(UnsupportedEnvError):
    """The environment is not compiled on this operating system. It can be stepped in Python."""


class LanesDisagreeError(UnsupportedEnvError):
    """The lanes could step the model, but a step of them is not MuJoCo's; the message names the field that differs."""


class ChangedEnvError(UnsupportedEnvError):
    """The environment is not quite the one that is compiled under its id. It can be stepped in Python."""


class SimulationError(RuntimeError):
    """A simulator failed; the message ends with the simulator's own text."""


class WorkerError(RuntimeError):
    """Worker processes could not do their work: one could not make its environment, or they were killed again and again."""

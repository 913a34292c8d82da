"""Environments with vector rewards, one file each: mo-gymnasium's, which need not be installed, and a pendulum.

Each file has the NamedTuple of constants that picks the compiled functions, and the Gymnasium environment that steps them one call
at a time (`base`). In Gymnasium their ids begin with `fastars/`, as mo-gymnasium registers its own without.
"""

"""The language that kernels are written in: decorators, types, tuples, lanes, random numbers."""

"""The language that kernels are written in. Numba compiles what stands here into every kernel."""

"""Threads, signals, floating-point state and CPUs around the call of a kernel. No kernel depends on these files."""

"""How a kernel is called: threads, signals, floating-point state, CPUs. No kernel reads these files."""

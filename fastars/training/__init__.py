"""A training run: its settings, its state between two iterations, and the functions that lead from one state to the next."""

"""The names and habits of stable-baselines3: for scripts that were written for it."""

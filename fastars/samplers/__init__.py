"""Where candidates are evaluated. One protocol: `evaluate(weights, filter, seeds, track) -> Rollouts`."""

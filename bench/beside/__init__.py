"""Learning beside stable-baselines3: `python -m bench.beside`. docs/beside.md shows what comes out.

`rows.py` says what is run: rl-zoo's settings, its own figures, and the plan. `sides.py` trains with each package, `episodes.py`
evaluates all of them in the same way, `runs.py` makes the curve of a run, `bench/paper/store.py` keeps what is done, and
`over_steps.py` and `over_time.py` draw it.
"""

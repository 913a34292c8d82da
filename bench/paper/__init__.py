"""The study of Mania, Guy & Recht 2018 again: `python -m bench.paper TASK VARIANT`. docs/paper.md shows what comes out.

`rows.py` says what is run: tasks, settings, budgets, the paper's own figures. `seeds.py` has the rule of the seeds, `runs.py`
trains one seed, `crossing.py` says when a threshold is reached, `store.py` keeps what is done, `summary.py` and `picture.py` read
it, and `rates.py` measures the hours that a row may take.
"""

"""The tables of README.md and docs/, made from the result files: `python -m bench.tables`.

A table stands between two marks, and nobody types anything between them:

    <!-- bench:rollouts -->
    ...
    <!-- /bench -->

`engine.py` renders tables, and the other modules declare them: for each result file the columns, and how a row fills them.
"""

"""Changes of ARS that are compared with it: `python -m bench.better TASK "IDEA CHANGES"`. docs/better.md shows what comes out.

`algorithm.py` is Algorithm 2 of the paper as a class in NumPy, over the samplers of fastars; `ideas.py` has classes derived from
it, one for each idea, with its source. `rows.py` says what is run, `runs.py` trains one seed, `summary.py`, `picture.py` and
`bench/tables/better.py` read the results. Seeds, files and processes are those of `bench.paper`.
"""

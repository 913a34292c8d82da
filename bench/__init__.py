"""Benchmarks, all of them ratios inside one run. `make bench` runs them; `make tables` writes their tables into README.md.

A benchmark asserts first that the competitors compute the same thing, then warms them up, then times them in turn. It asserts
nothing about speed. Only what ran gets into a result file: `bench/results/<table>.json`, from which `bench.tables` makes Markdown.
"""

"""The page of `fastars report`: one HTML file about one or more runs, which needs no other file, no network and no script.

`command.py` is the sub-command, `facts.py` reads a run folder, `page.py` puts the sections together. Each section has a file:
`results.py`, `settings.py`, `health.py`, `films.py`, `repeat.py`. `elements.py` writes HTML and escapes every text, `charts.py`
draws curves as SVG.
"""

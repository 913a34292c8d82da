# PYTHON=... picks the interpreter, MINUTES=... how long to soak or fuzz.
# THEIRS=... folders with the tests of stable-baselines3 and stable-baselines3-contrib, in place of their source distributions.
# `make bench` takes half an hour or more, uses two CPUs and wants a quiet machine. FASTARS_BENCH_PEERS=PYTHON:PYTHON has the interpreters with
# packages to compare with, FASTARS_BENCH_PUFFERLIB=FOLDER the sources of PufferLib (CONTRIBUTING.md, "A peer in the benchmarks").
PYTHON ?= python3
MINUTES ?= 30
.PHONY: help test fast again packages lowest slow trust soak fuzz lint types bench bench-quick tables pictures screenshots docs theirs

help:
	@echo 'make test         the test suite, one test after the other (README.md has the line that runs it in parallel)'
	@echo 'make again        the same up to the first failure, the failures of last time first'
	@echo 'make fast         the fast tests (tests/fast.txt), on two processes'
	@echo 'make packages     sdist and wheel: built, checked, and the fast tests with the wheel in the newest Python here'
	@echo 'make lowest       the same with the lowest versions that pyproject.toml allows'
	@echo 'make slow         the tests that take minutes'
	@echo 'make trust        the tests that break things, with their full counts (an hour), and the table made from them'
	@echo 'make theirs       the tests of stable-baselines3 and -contrib with ARS of fastars; THEIRS=FOLDER takes checkouts of them'
	@echo 'make soak         30 minutes of training, evaluating, saving and restarting: what is held must not grow'
	@echo 'make fuzz         30 minutes of damaged and hostile files for every reader; needs fastars[fuzz]'
	@echo 'make lint         ruff, codespell, the rules of the house (tests/house_rules.py), import contracts'
	@echo 'make types        mypy'
	@echo 'make bench        all benchmarks, their result files, and the tables made from them'
	@echo 'make bench-quick  do the benchmarks run? Small sizes, nothing written'
	@echo 'make tables       the tables of README.md and docs/ from the result files'
	@echo 'make pictures    the pictures of docs/ from the result files; MEASURE=--measure runs what is in them first'
	@echo 'make screenshots the pictures of pages of the command, which a browser takes; needs Chromium'
	@echo 'make docs         the documentation as pages, in build/docs'

test:
	$(PYTHON) -m pytest

again:
	$(PYTHON) -m pytest -x --failed-first

fast:
	$(PYTHON) -m pytest -q -n 2 --dist loadfile @tests/fast.txt

packages:
	$(PYTHON) tests/packages.py

lowest:
	$(PYTHON) tests/packages.py --lowest

slow:
	$(PYTHON) -m pytest -m slow --timeout=3600

trust:
	$(PYTHON) -m pytest -m promise --full --timeout=7200 --tally=bench/results/trust.json
	$(PYTHON) -m bench.tables

theirs:
	$(PYTHON) tests/theirs.py $(THEIRS) --tally=bench/results/theirs.json
	$(PYTHON) -m bench.tables

soak:
	$(PYTHON) tests/soak.py --minutes $(MINUTES)

fuzz:
	cd tests && $(PYTHON) -m fuzz.run --minutes $(MINUTES)

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m codespell_lib
	$(PYTHON) tests/house_rules.py
	lint-imports

types:
	$(PYTHON) -m mypy

bench:
	$(PYTHON) -m pytest bench --timeout=900 --benchmark-columns=median,iqr,rounds
	$(PYTHON) -m bench.growth
	$(PYTHON) -m bench.tables

bench-quick:
	$(PYTHON) -m pytest bench --quick --timeout=900 --benchmark-columns=median,rounds

tables:
	$(PYTHON) -m bench.tables

pictures:
	$(PYTHON) -m bench.pictures $(MEASURE)

screenshots:
	$(PYTHON) -m bench.screenshots

docs:
	$(PYTHON) -m sphinx -q -W --keep-going -b html docs build/docs

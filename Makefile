# One line per job. `run` and `test` do all of their own set-up.
SHELL := /bin/bash
PYTHON := .venv/bin/python
SOURCES := detection unosat tests benchmarks
# One more than there are cores: tests wait for processes and browsers as often as they compute.
SIDE_BY_SIDE := --numprocesses=$(shell n=$$(nproc); echo $$((n < 4 ? n + 1 : 5))) --dist=loadfile --no-loadscope-reorder
# Full disks and tasks that run twice stand beside what they are about.
FAULTS := tests/faults tests/unosat/*/test_full_disk.py tests/unosat/ops/test_every_task.py \
	tests/unosat/ops/test_supervisor.py

.PHONY: run test check faults journeys teaching screenshots fuzz bench lock format

run:    ## start everything, print the address
	@unosat/ops/bootstrap.sh server && exec $(PYTHON) -m unosat.ops.supervisor

# Tests start hundreds of processes: each would compile our sources anew where this is set.
test faults journeys: export PYTHONDONTWRITEBYTECODE :=
test: check    ## everything that must pass before a change lands
	$(PYTHON) -m pytest $(SIDE_BY_SIDE) --ignore=tests/browser
	cd frontend && npm run --silent test
	$(PYTHON) -m pytest $(SIDE_BY_SIDE) tests/browser

check:    ## style, types, import directions, locks
	@unosat/ops/bootstrap.sh test
	$(PYTHON) -m ruff check manage.py $(SOURCES)
	$(PYTHON) -m ruff format --check manage.py $(SOURCES)
	$(PYTHON) -m mypy manage.py $(SOURCES)
	.venv/bin/lint-imports
	cd frontend && npm run --silent check
	$(PYTHON) -m unosat.ops.locks check

faults:    ## break things on purpose, at full length, and measure what it costs
	@unosat/ops/bootstrap.sh test
	UNOSAT_LONG_FAULTS=1 UNOSAT_TEST_LARGE=1 $(PYTHON) -m pytest -p tests.summary $(FAULTS)

bench:    ## measurements; never part of test
	@unosat/ops/bootstrap.sh server
	$(PYTHON) -m benchmarks

journeys:    ## the browser's journeys, also those that `make test` has no time for
	@unosat/ops/bootstrap.sh test
	UNOSAT_LONG_JOURNEYS=1 $(PYTHON) -m pytest $(SIDE_BY_SIDE) tests/browser

teaching:    ## whether corrections teach a model that grades wrongly, and shuffled ones do not
	@unosat/ops/bootstrap.sh test
	UNOSAT_LONG_TRAINING=1 $(PYTHON) -m pytest tests/unosat/training/test_teaching.py tests/detection/training/test_adapt.py

screenshots:    ## pictures of every screen and state for people to look at, and the README's
	@unosat/ops/bootstrap.sh test
	$(PYTHON) -m pytest tests/browser/screenshots.py

fuzz:    ## a million damaged headers; `make test` tries 20,000
	@unosat/ops/bootstrap.sh test
	UNOSAT_FUZZ_CASES=1000000 $(PYTHON) -m pytest --timeout=0 tests/unosat/scenes/test_fuzz_headers.py

lock:    ## pin again what pyproject.toml asks for
	@unosat/ops/bootstrap.sh lock

format:    ## let ruff rewrite what it can
	$(PYTHON) -m ruff check --fix manage.py $(SOURCES)
	$(PYTHON) -m ruff format manage.py $(SOURCES)

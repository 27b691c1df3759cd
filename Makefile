# `make demo` and `make test` do all the set-up that they need, in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST ?= $(BIN)/python -m pytest

.PHONY: demo test check fuzz cuts benchmark timing bits canary coexistence lowest clean

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

# Other plugins in the same client, slixmpp-omemo among them (which `make test` skips where it is not installed), and
# servers that insist on each other's certificates.
coexistence: $(VENV)/.installed
	$(BIN)/pip install --quiet -r tests/coexistence/peers.txt
	E2E_REQUIRE_PEERS=1 $(PYTEST) tests/coexistence tests/server/test_domains.py

# The lowest versions of all that users may have, in a virtual environment of their own: what programs do most, and
# what each extra is for.
lowest:
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/pip install --quiet --constraint tests/lowest.txt --editable '.[test]'
	$(VENV)-lowest/bin/python -m pytest -m "not ejabberd" tests/plugin tests/server/test_protected.py \
		tests/server/test_plugins.py tests/stores/test_pkcs11.py tests/stores/test_ldap.py \
		tests/stores/test_postgresql.py tests/stores/test_http_revocation.py tests/cli/test_demo.py

clean:
	rm -rf $(VENV) $(VENV)-lowest .pytest_cache .mypy_cache .ruff_cache .hypothesis dist

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

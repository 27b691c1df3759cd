# `make demo` and `make test` do all the set-up that they need, in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST ?= $(BIN)/python -m pytest

.PHONY: demo test check docs fuzz fuzz-readers fuzz-receive fuzz-worst cuts benchmark timing oracle bits canary paths load \
	soak flood replays coexistence lowest mutants clean

demo: $(VENV)/.installed
	$(BIN)/slixmpp-e2e demo

test: $(VENV)/.installed
	$(PYTEST)

# What CI runs of it: lint, format, types.
check: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable '.[lint]'
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documentation as a site, in site/.
docs: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable '.[docs]'
	$(BIN)/mkdocs build --strict

# Every property test with 200 times as many examples: hours.
fuzz: $(VENV)/.installed
	HYPOTHESIS_PROFILE=fuzz $(PYTEST) --timeout=0 tests/cms tests/media tests/certificates tests/formats tests/protection \
		tests/stores tests/cli tests/security/test_any_text.py tests/test_endpoint.py tests/test_freshness.py \
		tests/test_gateway.py tests/test_stanza.py tests/test_tables.py

# Every reader of octets from outside, with atheris: some ten hours. EXECUTIONS=100000 for minutes, READERS="cpim pidf"
# for some of them. docs/reliability.md has the figures.
fuzz-readers: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable '.[fuzz]'
	$(BIN)/python -m tests.fuzz readers $(READERS) --executions $(or $(EXECUTIONS),10000000)

# The whole way of what arrives: a quarter of an hour and more for each million.
fuzz-receive: $(VENV)/.installed
	$(BIN)/python -m tests.fuzz receive --executions $(or $(EXECUTIONS),1000000)

# What stanzas of 2 MiB cost that are made to be dear: a minute.
fuzz-worst: $(VENV)/.installed
	$(BIN)/python -m tests.fuzz worst

# A connection cut at every octet of an exchange, on each server: hours. Stopped, it goes on where it was (.cuts).
cuts: $(VENV)/.installed
	$(BIN)/python -m tests.server.all_cuts

benchmark: $(VENV)/.installed
	$(BIN)/python -m tests.benchmarks

# 100,000 rounds with one forgery of each kind: a quarter of an hour, then the tables of docs/timing.md. Stopped, or with
# TIMING="--minutes 5", it goes on where it was (.timing); what was measured of other code has to be removed before.
timing: $(VENV)/.installed
	$(BIN)/python -m tests.security.timing_whole_way $(TIMING)

# The known attacks on encrypted mail against a client on a Prosody of its own, and on receivers that make a mistake.
oracle: $(VENV)/.installed
	$(BIN)/python -m tests.security.oracle
	$(BIN)/python -m tests.security.timing_whole_way --server

# Every bit of a protected stanza turned over, and every truncation: minutes. docs/reliability.md has the figures.
bits: $(VENV)/.installed
	$(BIN)/python -m tests.security.bits

# 15,000 sends with something going wrong, and a search for what should have stayed secret.
canary: $(VENV)/.installed
	E2E_CANARIES=10000 $(PYTEST) -s --timeout=0 tests/security/test_canary.py

# Certification paths at random, compared with the library and with openssl verify: minutes.
paths: $(VENV)/.installed
	$(BIN)/python -m tests.certificates.paths

# Clear and protected against each other, in one process and in two: some ten minutes. ROUNDS=8.
load: $(VENV)/.installed
	$(BIN)/python -m tests.load.throughput

# A million messages between two bots, and what memory does meanwhile: hours. MESSAGES=1000000, or MINUTES=15.
soak: $(VENV)/.installed
	$(BIN)/python -m tests.load.soak

# An honest peer beside attackers. MINUTES=10 RATE=200.
flood: $(VENV)/.installed
	$(BIN)/python -m tests.load.flood

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

# Whether a test notices when a check is turned round or taken out. MODULES="freshness cms/asn1" for some of them; stopped,
# it goes on where it was (.mutants). docs/mutants.md has the figures.
mutants: $(VENV)/.installed
	$(BIN)/python -m tests.mutation $(MODULES)

clean:
	rm -rf $(VENV) $(VENV)-lowest .pytest_cache .mypy_cache .ruff_cache .hypothesis dist site

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

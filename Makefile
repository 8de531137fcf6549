# The two commands a newcomer needs: `make demo` and `make test`. Both only ask for Python 3.11+.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

.PHONY: demo test lint types layers unit snapshots system-packages keys schema benchmark clean

demo: $(READY)
	$(BIN)/cohete-tui --demo

test: $(READY) system-packages lint types layers unit

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

layers: $(READY)
	$(BIN)/lint-imports --no-cache

unit: $(READY)
	$(BIN)/pytest -n auto

snapshots: $(READY)
	$(BIN)/pytest tests/tui/test_snapshots.py --snapshot-update

keys: $(READY)
	$(BIN)/python -m cohete_tui.keys_page > docs/keys.md

commands: $(READY)
	$(BIN)/python -m cohete_tui.command_pages docs/commands

schema: $(READY)
	$(BIN)/cohete config schema > cohete/config/cohete.schema.json

system-packages:
	@scripts/system-packages

benchmark: $(READY)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,benchmark]'
	$(BIN)/python -m benchmarks

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Cohete needs Python 3.11 or newer; none was found." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache

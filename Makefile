# Every target sets up .venv itself. Another Python: make test PYTHON=python3.12
# The demo's options: make demo ARGS="--minutes 2 --out /tmp/demo"
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin

.PHONY: demo test check docs study clean .venv

demo: .venv
	$(BIN)/geomammut demo $(ARGS)

# Two processes; the tests of a file stay together, for they share what they set up.
test: check
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

check: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src

# Two hours; killed and called again, it goes on. Its options: make study ARGS="--samples 4000 --seeds 0"
study: .venv
	$(BIN)/python benchmarks/study.py $(ARGS)

# A broken link or a missing reference ends the build. Typer writes the command line's page; its examples become code.
docs: .venv
	$(BIN)/typer geomammut.cli utils docs --name geomammut --title "Command line" \
		| sed -e '/^\x08$$/d' -e 's/^\(Examples*\|See it.*\):$$/\1:\n/' -e 's/^  /    /' > docs/reference/commands.md
	$(BIN)/zensical build --clean --strict
	@echo "to read it: $(PYTHON) -m http.server -d site, then http://localhost:8000"

clean:
	rm -rf .venv demo site docs/reference/commands.md .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv: .venv/.ready

# Debian and Ubuntu ship Python without what makes a virtual environment.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo -n)
INSTALL_VENV := $(AS_ROOT) apt-get -qq update && $(AS_ROOT) apt-get -qq install -y python3-venv >/dev/null

# .ready is younger than what it was made from; .unfinished is left by a set-up that was interrupted,
# and the next one then starts from nothing.
.venv/.ready: pyproject.toml constraints.txt hatch_build.py
	@command -v $(PYTHON) >/dev/null || { echo "error: no $(PYTHON) here; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $$($(PYTHON) --version 2>&1) is too old; GeoMaMMUT needs 3.11 or newer: make PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { $(INSTALL_VENV); } || { echo "error: $(PYTHON) has no venv module; install it first: apt-get install python3-venv" >&2; exit 2; }
	@if [ -e .venv/.unfinished ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		echo "setting up .venv: some minutes, and some gigabytes for PyTorch"; \
		$(PYTHON) -m venv --clear .venv; \
	fi
	@touch .venv/.unfinished
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[test]'
	@rm .venv/.unfinished
	@touch $@

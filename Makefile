# Everything happens in a private .venv that these targets make and keep up to date.
# Another Python: make run PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# What an installation depends on: the package list, the build, and the native core's sources.
# Python sources are used where they are (an editable installation).
INSTALLED_FROM := pyproject.toml setup.py $(wildcard emu/cpu/native/*.c emu/cpu/native/*.h)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## show this list
	@echo "make TARGET, where TARGET is"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) | while IFS='|' read -r target text; do \
		printf '  %-8s %s\n' "$$target" "$$text"; done

.PHONY: run
run: $(VENV)/installed ## boot the built-in kernel with 512M of memory
	$(BIN)/hillemu boot --mem 512M

.PHONY: test
test: $(VENV)/installed-dev ## run all tests, on all processors
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=8 --dist=worksteal

.PHONY: check
check: lint types test ## run everything that must pass before a commit: lint, types, tests

.PHONY: lint
lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy does not follow an editable installation, so it sees the rooms through links that look like the package.
VIEW := build/view/hillemu
.PHONY: types
types: $(VENV)/installed-dev
	rm -rf $(VIEW)
	mkdir -p $(VIEW)
	ln -s $(addprefix ../../../,$(filter-out %/__pycache__,$(wildcard front/*)) boot emu images kernel) $(VIEW)/
	MYPYPATH=build/view $(BIN)/python -m mypy --package hillemu

.PHONY: bench
bench: $(VENV)/installed-dev ## measure against QEMU and print ratios
	$(BIN)/python bench/run.py

.PHONY: images
images: $(VENV)/installed ## rebuild the guest images from their sources
	$(BIN)/python -m hillemu.boot.images

.PHONY: clean
clean: ## remove everything that was built, and the private .venv
	rm -rf $(VENV) build dist *.egg-info emu/cpu/_core*.so .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/installed: $(INSTALLED_FROM) | $(BIN)/python
	$(PIP) install --editable .
	@touch $@

$(VENV)/installed-dev: $(INSTALLED_FROM) | $(BIN)/python
	$(PIP) install --editable '.[dev]' 'setuptools>=77'  # a test builds the wheel in this environment
	@touch $(VENV)/installed $@

# The checks name what a fresh machine lacks, before pip buries it in its own words.
$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "hillemu needs Python 3.11 or newer, and there is no '$(PYTHON)'" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "hillemu needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "'$(PYTHON)' cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || \
		{ echo "'$(PYTHON)' has no C header files; on Debian and Ubuntu: apt install python3-dev" >&2; exit 1; }
	@command -v $${CC:-cc} >/dev/null || command -v gcc >/dev/null || \
		{ echo "hillemu needs a C compiler for its native core; on Debian and Ubuntu: apt install gcc" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# From a fresh clone: `make demo` and `make test`. Needs Python >= 3.11, git and make, nothing else. The demo installs the
# package alone; `make test` adds the development tools.
#
# Which torch: TORCH goes to pip as it stands, options and all, so that another version or another build is chosen
# with
#   make demo TORCH="torch --index-url <the index of your build>"
# It counts when .venv is made (make clean removes it). Another Python:
#   make test PYTHON=python3.12

PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV ?= .venv

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
STAMP := $(VENV)/.installed
DEV := $(VENV)/.installed-dev

.PHONY: demo test fuzz lint install clean
.DELETE_ON_ERROR:

demo: $(STAMP)
	$(BIN)/rivergrad run workflows/demo.yaml

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal --durations 40 --durations-min 5

# every mutation of input, which takes minutes; a part of each family is in `make test`
fuzz: $(DEV)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: $(STAMP)

# torch comes first and by itself, so that the line below finds it and leaves its build alone.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "rivergrad needs Python 3.11 or newer; found $$($(PYTHON) --version 2>&1). Choose one: make PYTHON=python3.12" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing torch and rivergrad into $(VENV), which takes a minute or more" >&2
	@$(PIP) install $(TORCH)
	@$(PIP) install -e .
	@touch $@

$(DEV): $(STAMP)
	@echo "installing the development tools into $(VENV)" >&2
	@$(PIP) install -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist runs .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

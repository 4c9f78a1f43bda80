# Two commands on a fresh machine: `make lab` opens the course, `make test` runs every test.
# Both set up .venv first. Nothing is installed outside this folder.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.kvcore-installed

.PHONY: help lab fresh test soak stable lint bench bench-cluster outputs tools clean
.DEFAULT_GOAL := help

help:
	@echo "make lab                open the course in JupyterLab (LAB_ARGS=… is passed on)"
	@echo "make fresh LESSON=01    start a lesson anew; your old copy is kept beside it"
	@echo "make test               run every test (STAGES='unit lessons' runs some)"
	@echo "make soak               the long runs, half an hour and more"
	@echo "make stable             run each lesson 20 times: its text must stay the same"
	@echo "make lint               format and check the code"
	@echo "make bench              measure kvcore beside nats-server"
	@echo "make bench-cluster      measure three servers beside three of nats-server's"
	@echo "make outputs            run the lessons again and store their outputs"
	@echo "make clean              remove what make made; work/ and kvcore-data/ stay"

# uv if it is there (6 s), else venv and pip (about a minute).
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "kvcore needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 …")'
	@if command -v uv >/dev/null 2>&1; then \
	  echo "Setting up $(VENV) with uv, once: some seconds."; \
	  test -x $(BIN)/python || uv venv -q --python $(PYTHON) $(VENV) || exit 1; \
	  uv pip install -q --python $(BIN)/python -e '.[course,secure,test]'; \
	else \
	  echo "Setting up $(VENV) with pip, once: about a minute."; \
	  $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV) || exit 1; \
	  $(BIN)/python -m pip install -q --disable-pip-version-check -e '.[course,secure,test]'; \
	fi
	@touch $@

lab: $(STAMP)
	@$(BIN)/python scripts/lab.py open $(LAB_ARGS)

fresh: $(STAMP)
	@$(BIN)/python scripts/lab.py fresh "$(LESSON)"

# nats-server and the nats CLI, for the tests and measurements that compare with them.
tools:
	@sh scripts/tools.sh

test: $(STAMP) tools
	@$(BIN)/python scripts/run_tests.py $(STAGES)

soak: $(STAMP) tools
	@$(BIN)/python scripts/soak.py $(SOAKS)

stable: $(STAMP)
	@$(BIN)/python scripts/stable.py $(RERUNS)

lint: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(STAMP) tools
	$(BIN)/python -m bench.run

bench-cluster: $(STAMP) tools
	$(BIN)/python -m bench.cluster

outputs: $(STAMP)
	$(BIN)/python scripts/outputs.py

clean:
	rm -rf .venv .tools .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Two commands for a newcomer: `make demo` and `make test`. `make check` is what CI runs.
PYTHON ?= python3
BIN := .venv/bin
# Two processes, a file of tests to each: they share fixtures within a file, and two cores are what CI has.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile

.PHONY: demo test check clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

demo: .venv/installed
	$(BIN)/python -m saber.sweep +sweep=organism
	$(BIN)/python -m saber.frontier +sweep=organism
	$(BIN)/python -m saber.export +sweep=organism point=balanced
	@echo
	@echo "The report is sweeps/organism/report.html. Try next:"
	@echo "  $(BIN)/python -m saber.sweep +sweep=organism study.n_trials=+20"
	@echo "  $(BIN)/python -m saber.export +sweep=organism point=aggressive"
	@echo "  $(BIN)/optuna-dashboard sqlite:///sweeps/organism/study.db --artifact-dir sweeps/organism/artifacts --host 127.0.0.1"

test: .venv/installed
	$(PYTEST)

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST)

clean:
	rm -rf .venv build dist *.egg-info

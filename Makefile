# Every target works in a fresh clone: what it needs, it installs first.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Some machines for CI set it. Then each of the hundreds of commands that tests run compiles its modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo demo-clean test check packages prepare unit fuzz system bench reference lock clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(READY) ## Make .venv with the toolkit and what its checks need

$(READY): requirements-dev.lock pyproject.toml scripts/bootstrap.sh
	PYTHON=$(PYTHON) scripts/bootstrap.sh

demo: $(READY) ## Run the main job for real: deploy, upgrade under load, roll back
	$(BIN)/python demo/run_demo.py

demo-clean: $(READY) ## Stop what the demo left running and remove its files
	$(BIN)/python demo/clean.py

test: ## Run every check and every test (what CI runs)
	$(MAKE) --jobs=3 --output-sync=target check prepare unit
	$(MAKE) system

check: $(READY) ## Lint, types, layers, roles, documents
	scripts/check.sh

packages:
	scripts/system_packages.sh

prepare: $(READY) packages ## Install what the tests need beyond Python: packages, two engines, the tree of the test hosts
	$(BIN)/python -m tests.fleet.base
	$(BIN)/python -m tests.walk.wheels
	$(BIN)/python -m tests.system.served

# Two processors have four workers, because these tests wait for routers and hosts nearly half of the time.
unit: $(READY) packages ## Run the tests that start no vLLM
	$(BIN)/python -m pytest -m "not system" -n 4 --durations=15

fuzz: $(READY) ## Run 100,000 mutated inputs through each parser of bytes from outside (half an hour)
	FUZZ_INPUTS=$${FUZZ_INPUTS:-100000} $(BIN)/python -m pytest tests/fuzz -n 2 --dist load --durations=25

system: prepare ## Run the whole-system tests: real vLLM, HAProxy, Ansible
	$(BIN)/python -m pytest -m system -n 2 -v --durations=25

bench: $(READY) ## Measure what docs/benchmarks.md shows
	$(BIN)/python tests/bench/run.py

reference: $(READY) ## Write the generated documents anew
	$(BIN)/python scripts/write_reference.py

lock: $(READY) ## Resolve the toolkit's own dependencies anew
	scripts/lock.sh --upgrade

clean: ## Remove what installs, builds and tests left: here, their engine and their cached packages
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/toolkit-test"
	for each in /var/lib/toolkit-test /var/cache/toolkit-tests; do \
		[ ! -e $$each ] || $$([ "$$(id -u)" = 0 ] || echo sudo) rm -rf $$each; done

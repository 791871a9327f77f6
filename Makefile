# Every target is one line of intent; `make help` lists them. Nothing is installed outside .venv and .venv-device,
# but for mosquitto and chromium, which `make test` fetches with apt-get where it may.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3.11
BIN := .venv/bin
PIP := install --quiet --disable-pip-version-check

.PHONY: help setup check format unit test nightly demo bench zoo reference screenshot constraints clean

help: ## Say what each target is for.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready .venv-device/.ready ## Make both environments; instant the second time.

check: .venv/.ready ## Lint, format, types, and the arrows between the parts.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.ready ## Put the code into its one format.
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

unit: .venv/.ready ## The fast tests, under a minute.
	$(BIN)/pytest -q -n auto tests/unit -m "not slow and not integration"

test: setup ## Everything but the slow set, with what it needs installed first.
	tests/prepare
	$(BIN)/pytest -q -rs -n auto tests/unit -m "not slow"
	$(BIN)/pytest -q -rs tests --ignore=tests/unit -m "not slow"

nightly: setup ## Only the slow set: what takes minutes.
	tests/prepare
	$(BIN)/pytest -q -rs -m slow --timeout=1800

demo: setup ## The whole loop with four agents; KEEP=1 leaves it running.
	$(BIN)/python examples/demo $(if $(KEEP),--keep) $(if $(MNIST),--mnist $(MNIST))

bench: setup ## The benchmarks, NAME=one of tests/benchmarks or all; writes build/bench and docs/benchmarks.md.
	$(BIN)/python tests/benchmarks $(NAME)

zoo: setup ## Every reference model in every form, checked: build/bench/zoo.json, docs/zoo.md; QUICK=1 a few, MODEL=name one.
	$(BIN)/python tests/zoo $(if $(QUICK),--quick) $(if $(MODEL),--model $(MODEL))

reference: .venv/.ready ## Write docs/reference-passes.md from the registered passes and variants.
	$(BIN)/controller recipes --markdown > docs/reference-passes.md.new && mv docs/reference-passes.md.new docs/reference-passes.md

screenshot: setup ## Take the README's picture of the dashboard again, from a running demo.
	$(BIN)/python examples/demo --keep
	$(BIN)/python tests/screens/take.py --data build/demo/fleet --out docs/images; code=$$?; $(BIN)/python examples/demo --stop; exit $$code

constraints: .venv/.ready .venv-device/.ready ## Write the tested versions down, after an upgrade was tried.
	$(BIN)/python tests/constraints.py

clean: ## Remove what was built; the environments stay.
	rm -rf build dist .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# torch first and alone: with the rest in one command the resolver looks through its CUDA builds.
.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip $(PIP) -c constraints.txt torch
	$(BIN)/pip $(PIP) -c constraints.txt -e '.[controller,dev]'
	@touch $@

# What a device installs and nothing else: that the demo runs from it proves that the agent needs nothing heavy.
.venv-device/.ready: pyproject.toml constraints-device.txt
	$(PYTHON) -m venv .venv-device
	.venv-device/bin/pip $(PIP) -c constraints-device.txt -e '.[agent,tflite]'
	@touch $@

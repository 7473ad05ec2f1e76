# zward in one screen. `make run` and `make test` first set up whatever is missing.
#   make test ARGS="-k unban -x"      make run ARGS="--config my.toml"      make bench ARGS=--json

PYTHON ?= python3
ARGS   ?=
BIN    := .venv/bin
READY  := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup run demo test check image deb container vm test-image test-guests bench stories dashboards previews fmt clean

help:              ## what can be made
	@sed -n 's/^\([a-z -]*\): *[^#]*## /\1#/p' $(firstword $(MAKEFILE_LIST)) | awk -F'#' '{printf "  make %-18s %s\n", $$1, $$2}'

setup: $(READY)    ## .venv with exactly what uv.lock names
$(READY): uv.lock pyproject.toml
	@.ci/venv $(PYTHON)

run: setup         ## start zward; as root it enforces, else it observes
	@.ci/packages run
	$(BIN)/zward run $(ARGS)

demo: setup        ## an attack staged in namespaces, from the first guess to the mail; needs root, no registry
	@.ci/packages demo
	$(BIN)/python -m image.demo $(ARGS)

test: setup        ## every test that this machine can run; as root all of them
	@.ci/packages test
	$(BIN)/pytest $(ARGS)

check: setup       ## three minutes: style, types, unit tests, rule samples
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q -m "not daemon and not kernel and not e2e and not slow and not image and not guests" $(ARGS)
	$(BIN)/zward check

image: setup       ## package, container image and virtual machine, as far as this machine can
	@image/build

deb container vm: setup ## one of them: build/zward_*.deb, the image zward, build/zward-*.qcow2
	@image/build $@

test-image: setup  ## builds all three and runs them before a real mail host; needs root
	@.ci/packages test
	@.ci/packages image
	@image/build vm
	$(BIN)/pytest -m image $(ARGS)

test-guests: setup ## the kernel tests on Linux 6.1 and 6.12, translated by qemu: half an hour each
	@.ci/packages image
	$(BIN)/pytest -m guests -s $(ARGS)

bench: setup       ## figures of this machine; as root also those that need the kernel
	@.ci/packages test
	PYTHONPATH=tests $(BIN)/python -m bench $(ARGS)

stories: setup     ## zward and fail2ban before the same attackers and the same people
	@.ci/packages stories
	PYTHONPATH=tests $(BIN)/python -m bench.stories $(ARGS)

dashboards: setup  ## grafana/dashboards/ from the code in grafana/builder/
	$(BIN)/python -m grafana.builder $(ARGS)

previews: setup    ## a picture of each dashboard from a recorded day; needs chromium and npm
	@.ci/packages previews
	PYTHONPATH=tests $(BIN)/python -m bench.previews $(ARGS)

fmt: setup         ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:             ## remove what the targets above made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -prune -exec rm -rf {} +

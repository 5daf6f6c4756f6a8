# `make train` and `make test` need Python 3.11 to 3.13 and nothing else.
PYTHON ?= python3
ARGS ?= env=halfcheetah arch=shared
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check

# pip lists what is there already, on pages; only the lines that say what it does are shown. If pip fails, so does the
# whole line, which takes an option that not every sh has.
SHELL := bash
define INSTALL
@echo "Installing acexp and what it needs into $(VENV), once: 2 to 15 minutes. PyTorch with CUDA takes several GB."
@set -o pipefail; $(PIP) install $(1) | awk '/^ *(Downloading|Using cached|Building|Installing|Successfully)/ \
	{ print substr($$0, 1, 100); fflush() }'
endef

STUDIES ?=

.PHONY: train test soak learn results rliable check bench install install-dev clean

train: $(VENV)/installed
	$(VENV)/bin/python -m acexp $(ARGS)

test: $(VENV)/installed-dev
	scripts/test

soak: $(VENV)/installed-dev
	$(VENV)/bin/python -m pytest -m soak
	$(VENV)/bin/python -m pytest --hypothesis-profile=soak -n 2 tests/end_to_end/test_any_*.py

learn: $(VENV)/installed-dev
	$(VENV)/bin/python -m pytest -m floor

# `make results` repeats a run of each study but Pong's; `make results STUDIES="halfcheetah pong-preset"` chooses some.
results: $(VENV)/installed-dev
	$(VENV)/bin/python studies/repeat.py $(STUDIES)

# rliable has a separate environment, because nothing else needs it and it does not work with pandas 3.
rliable:
	$(PYTHON) -m venv .venv-rliable
	.venv-rliable/bin/python -m pip --quiet --disable-pip-version-check install rliable 'pandas<3'
	PYTHONPATH=. .venv-rliable/bin/python scripts/compare_with_rliable.py

check: $(VENV)/installed-dev
	scripts/check

bench: $(VENV)/installed-dev
	$(VENV)/bin/python benchmarks/throughput.py
	$(VENV)/bin/python benchmarks/scaling.py
	$(VENV)/bin/python benchmarks/startup.py
	$(VENV)/bin/python benchmarks/checkpoints.py
	$(VENV)/bin/python benchmarks/slow.py
	$(VENV)/bin/python benchmarks/sweep.py
	$(VENV)/bin/python benchmarks/scale.py
	$(VENV)/bin/python benchmarks/reports.py
	$(VENV)/bin/python benchmarks/page.py

install: $(VENV)/installed

install-dev: $(VENV)/installed-dev

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml requirements.lock | $(VENV)/bin/python
	$(call INSTALL,--constraint requirements.lock --editable .)
	touch $@

# pip would compile on one core only. It has to be done, because a warning of a first compilation would fail a test;
# packages also contain files for other versions of Python, which cannot be compiled here.
$(VENV)/installed-dev: pyproject.toml requirements.lock | $(VENV)/bin/python
	$(call INSTALL,--no-compile --constraint requirements.lock --editable '.[dev]')
	$(VENV)/bin/python -W ignore -m compileall -qq -j 0 $(VENV)/lib || true
	touch $(VENV)/installed $@

clean:
	rm -rf $(VENV) .venv-rliable

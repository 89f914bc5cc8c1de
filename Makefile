# Set-up happens on first use and again only when a pin changes.
# Any Python 3.10-3.13 will do: `make lab PYTHON=python3.12` picks one. `GPU=1` adds CUDA (Linux).

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10 python; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
PY := .venv/bin/python
READY := .venv/ready$(if $(GPU),-gpu)
EXTRA := $(if $(GPU),[cuda])

.PHONY: help lab run test notebooks format lock data clean

help:
	@echo 'make lab        set up, then open JupyterLab on the course'
	@echo 'make run        set up, then execute the whole course headless and print a summary'
	@echo 'make test       set up, then run every test, the notebooks included'
	@echo 'make notebooks  rebuild the notebooks from notebooks/text (ONLY=10 for one)'
	@echo 'make format     mend what the style tests complain of'
	@echo 'make data       draw the bundled data again, byte for byte'
	@echo 'make lock       choose the pinned versions anew'
	@echo 'make clean      remove .venv and outputs'

$(READY): requirements.lock pyproject.toml
	@test -n '$(PYTHON)' || { echo 'Python 3.10-3.13 is needed and none was found; name one: make PYTHON=/path/to/python'; exit 1; }
	@test -x $(PY) || '$(PYTHON)' -m venv .venv || { rm -rf .venv; \
	  echo 'Python came without venv. On Debian or Ubuntu: apt install python3-venv'; exit 1; }
	@echo 'Setting up .venv: a few minutes the first time'
	$(PY) -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --no-build-isolation --editable '.$(EXTRA)'
	@touch $@

lab: $(READY)
	$(PY) -m jupyterlab --notebook-dir=. --LabApp.default_url=/lab/tree/notebooks $(ARGS)

run: $(READY)
	$(PY) notebooks/build.py run $(ONLY)

test: $(READY)
	$(PY) -m pytest $(ARGS)

notebooks: $(READY)
	$(PY) notebooks/build.py build $(ONLY)

format: $(READY)
	$(PY) -m ruff check --fix --quiet helpers tests benchmarks data notebooks/text notebooks/build.py
	$(PY) -m ruff format --quiet helpers tests benchmarks data notebooks/text notebooks/build.py
	$(PY) notebooks/build.py sync

data: $(READY)
	$(PY) data/make_flowers.py
	$(PY) data/make_fashion.py
	$(PY) data/make_backbone.py

# One lock for every Python and system of the support window; environment.yml installs this same file.
lock:
	'$(PYTHON)' -m venv .venv-lock && .venv-lock/bin/python -m pip install --quiet uv
	.venv-lock/bin/uv pip compile --upgrade --universal --python-version 3.10 --extra lab --extra test --quiet \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml --output-file requirements.lock
	rm -rf .venv-lock

clean:
	rm -rf .venv .venv-lock outputs dist

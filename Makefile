# Set-up happens on first use and again only when a pin changes.
# Any Python 3.10-3.13 will do: `make lab PYTHON=python3.12` picks one. `GPU=1` adds CUDA (Linux).

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10 python; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
JOBS ?= 2
PY := .venv/bin/python
comma := ,
PIP := $(PY) -m pip install --quiet --disable-pip-version-check --constraint requirements.lock
READY := .venv/ready$(if $(GPU),-gpu)
TESTABLE := .venv/ready-to-test
# A file of tests, or a notebook with its kernel, stays in one process.
PYTEST := $(PY) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

.PHONY: help lab run check test test-all notebooks colab kaggle editions offline-kit format lock data clean

help:
	@echo 'make lab        set up, then open JupyterLab on the course'
	@echo 'make run        set up, then execute the whole course headless and print a summary'
	@echo 'make test       set up, then run the tests, the notebooks included (ONLY=08: what belongs to notebook 08)'
	@echo 'make check      set up, then style, floors, sync and the quick unit tests: under two minutes'
	@echo 'make test-all   all tests, those that take minutes each included'
	@echo 'make notebooks  rebuild the notebooks from notebooks/text (ONLY=10 for one)'
	@echo 'make colab      write each notebook as one file for Colab to dist/colab (ONLY=10, REPOSITORY=owner/name)'
	@echo 'make kaggle     the same for Kaggle, to dist/kaggle (OWNER=your name there)'
	@echo 'make editions   write student, nbgrader, teacher and slides editions to dist (ONLY=10 for one)'
	@echo 'make offline-kit  put course and wheels into dist/offline-kit, for laptops without a network'
	@echo 'make format     mend what the style tests complain of'
	@echo 'make data       draw the bundled data again, byte for byte'
	@echo 'make lock       choose the pinned versions anew'
	@echo 'make clean      remove .venv and outputs'

$(READY): requirements.lock pyproject.toml
	@test -n '$(PYTHON)' || { echo 'Python 3.10-3.13 is needed and none was found; name one: make PYTHON=/path/to/python'; exit 1; }
	@test -x $(PY) || '$(PYTHON)' -m venv .venv || { rm -rf .venv; \
	  echo 'Python came without venv. On Debian or Ubuntu: apt install python3-venv'; exit 1; }
	@echo 'Setting up .venv: a few minutes the first time'
	$(PIP) editables hatchling
	$(PIP) --no-build-isolation --editable '.[lab$(if $(GPU),$(comma)cuda)]'
	@touch $@

$(TESTABLE): $(READY)
	@echo 'Adding what the tests need'
	$(PIP) --no-build-isolation --editable '.[lab,test]'
	@touch $@

.venv/ready-for-slides: $(READY)
	$(PIP) --no-build-isolation --editable '.[lab,slides]'
	@touch $@

lab: $(READY)
	$(PY) -m jupyterlab --notebook-dir=. --LabApp.default_url=/lab/tree/notebooks $(ARGS)

run: $(READY)
	$(PY) -m tools.notebooks run $(ONLY)

check: $(TESTABLE)
	$(PYTEST) tests --ignore tests/tools --ignore tests/helpers/exercises -m 'not long and not slow' $(ARGS)

ifdef ONLY
# What belongs to one notebook: itself, and beside it what is claimed of it, and its exercises.
test: $(TESTABLE)
	PYTHONPATH=tests $(PY) -m pytest -p conftest notebooks/$(ONLY)*.ipynb $(ARGS) & notebook=$$!; \
	$(PY) -m pytest tests/notebooks tests/helpers/exercises -k '$(ONLY)' -m 'not long' $(ARGS); tests=$$?; \
	wait $$notebook && exit $$tests
else
test: $(TESTABLE)
	$(PYTEST) -m 'not long' $(ARGS)
endif

test-all: $(TESTABLE)
	$(PYTEST) $(ARGS)

notebooks: $(READY)
	$(PY) -m tools.notebooks build $(ONLY)

colab kaggle: $(READY)
	$(PY) -m tools.one_file $@ $(if $(ONLY),--only $(ONLY)) $(if $(REPOSITORY),--repository $(REPOSITORY)) \
	  $(if $(OWNER),--owner $(OWNER)) $(if $(WEIGHTS),--weights $(WEIGHTS))

editions: .venv/ready-for-slides
	$(PY) -m tools.editions $(ONLY)

# FOR='windows-3.12 macos-3.12 linux-3.12' names systems and Pythons; ARGS='--keras-cache ~/.keras' adds photographs.
offline-kit: $(READY)
	$(PY) -m tools.offline_kit $(FOR) $(ARGS)

format: $(TESTABLE)
	$(PY) -m ruff check --fix --quiet helpers tools tests benchmarks data notebooks
	$(PY) -m ruff format --quiet helpers tools tests benchmarks data notebooks
	$(PY) -m tools.notebooks sync

data: $(READY)
	$(PY) data/make_flowers.py
	$(PY) data/make_fashion.py
	$(PY) data/make_backbone.py

# One lock for every Python and system of the support window: the constraint of every way in, environment.yml too.
lock:
	'$(PYTHON)' -m venv .venv-lock && .venv-lock/bin/python -m pip install --quiet uv
	.venv-lock/bin/uv pip compile --upgrade --universal --python-version 3.10 --extra lab --extra test --quiet \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml --output-file requirements.lock
	rm -rf .venv-lock

clean:
	rm -rf .venv .venv-lock outputs dist

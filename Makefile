# make demo   sets up and runs the main job on the embedded pictures
# make test   sets up and runs the tests          make lint   ruff
# An environment that is active and holds torch is used as it is; otherwise .venv is made.
PYTHON ?= python3
VENV ?= .venv
FUZZ_SECONDS ?= 60
HAS_TORCH = -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)'
ACTIVE := $(firstword $(wildcard $(addsuffix /bin/python,$(VIRTUAL_ENV) $(CONDA_PREFIX))))
ifneq ($(ACTIVE),)
ifeq ($(shell $(ACTIVE) $(HAS_TORCH) 2>/dev/null && echo yes),yes)
PY := $(ACTIVE)
endif
endif
PY ?= $(VENV)/bin/python
STAMP = $(dir $(PY))../.upt-setup
export PYTHONWARNINGS ?= ignore:pkg_resources is deprecated

.PHONY: setup demo results browser fuzz test soak lint format clean
setup: $(STAMP)

TOOLBOX = $(wildcard toolbox/*.py toolbox/dassl/*.py toolbox/dassl/*/*.py toolbox/dassl/*/*/*.py)

$(STAMP): setup.py tools/install.py $(TOOLBOX)
	@test -x $(PY) || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=python3.11")'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) tools/install.py
	@touch $(STAMP)

demo: setup
	PYTHON=$(PY) bash scripts/upt/main.sh emoji 16 --trainer "CoOp VPT UPT"

results: setup  # runs all that docs/RESULTS.md shows, an hour or so on 2 cores, and fills in tables and pictures
	$(PY) -m upt_clip.tools.tables.results_page README.md docs/RESULTS.md
	$(PY) -m upt_clip.tools.tables.plot output --out docs/pictures

browser: setup  # a Chromium for the tests of the report's page
	$(PY) -m tests.browser

fuzz: setup  # the readers of files from strangers, each for FUZZ_SECONDS; needs `pip install atheris`
	for target in split config checkpoint pickle prompts; do $(PY) -m tests.fuzz.run $$target --seconds $(FUZZ_SECONDS) || exit 1; done

test: setup
	$(PY) -m pytest

KILLS ?= 200
soak: setup  # docs/RELIABILITY.md
	$(PY) -m tests.soak --kills $(KILLS)

lint: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: setup
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean:
	rm -rf $(VENV) output build *.egg-info

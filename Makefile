# make demo   sets up and runs the main job on the embedded pictures
# make test   sets up and runs the tests (TESTS=tests/trainers: some)          make lint   ruff, mypy
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
# 1 where `clip` is there, but not from PyPI's package: it stays
FOREIGN_CLIP = 'import importlib.util as u, importlib.metadata as m; print("1" if u.find_spec("clip") and not [*m.distributions(name="clip-anytorch")] else "")'

.PHONY: setup demo results browser fuzz test soak lint format clean
setup: $(STAMP)

$(STAMP): setup.py upt_clip/__init__.py
	@test -x $(PY) || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=python3.11")'
	@test -x $(PY) || { $(PYTHON) -m venv $(VENV) && $(PY) -m pip install "setuptools>=77.0.3"; }  # builds the wheel in the tests
	$(if $(UPT_TORCH),$(PY) -m pip install $(UPT_TORCH))
	@$(PY) -m pip list --format=freeze --exclude upt-clip > $(STAMP).there
	UPT_KEEP_CLIP=$$($(PY) -c $(FOREIGN_CLIP)) $(PY) -m pip install --constraint $(STAMP).there -e .[dev]
	@touch $(STAMP)

demo: setup
	$(PY) -m upt_clip demo

results: setup  # runs all that docs/RESULTS.md shows, an hour or so on 2 cores, and fills in tables and pictures
	$(PY) -m upt_clip.tools.sweep.results_page README.md docs/RESULTS.md
	$(PY) -m upt_clip plot output --out docs/pictures

browser: setup  # a Chromium for the tests of the report's page
	$(PY) -m tests.browser

fuzz: setup  # the readers of files from strangers, each for FUZZ_SECONDS; needs `pip install atheris`
	for target in split config checkpoint pickle prompts; do $(PY) -m tests.fuzz.run $$target --seconds $(FUZZ_SECONDS) || exit 1; done

test: setup
	$(PY) -m pytest $(TESTS)

KILLS ?= 200
soak: setup  # docs/RELIABILITY.md
	$(PY) -m tests.soak --kills $(KILLS)

lint: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	@rm -rf .mypy/upt_clip && mkdir -p .mypy/upt_clip  # all parts below the one name, which mypy cannot see in a checkout
	@cd .mypy/upt_clip && ln -s ../../upt_clip/*.py ../../trainers ../../datasets ../../tools .
	cd .mypy && $(abspath $(PY)) -m mypy --config-file ../pyproject.toml -p upt_clip

format: setup
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean:
	rm -rf $(VENV) output build .mypy *.egg-info

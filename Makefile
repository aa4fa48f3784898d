# Everything runs from .venv, which scripts/setup.sh makes and keeps current.
# Needs no more than GNU make 3.81, the one that macOS has.

.DEFAULT_GOAL := help
.PHONY: help setup book pdf notebooks figures quiz test bench reference lock clean \
    distclean

python := .venv/bin/python

# Seconds that one cell of a notebook may take in `make test`.
CELL_TIMEOUT ?= 300
# They take tests and notebooks from one queue (see tests/conftest.py).
WORKERS ?= 2
# What compares the installed versions with what they ask for; `true` leaves it out.
PIP_CHECK ?=
pip_check := $(or $(PIP_CHECK),$(python) -m pip check --disable-pip-version-check)
# `make lock UPGRADE=` keeps the versions and renews what depends on them.
UPGRADE ?= --upgrade
# `make lock CONSTRAINTS=file` keeps to that file's versions as well.
CONSTRAINTS ?=

# The runs depend on this checkout, not on the shell's other projects.
unexport PYTHONPATH PYTHONHOME MPLBACKEND
export TF_CPP_MIN_LOG_LEVEL := 3
export KERAS_BACKEND := tensorflow
export JUPYTER_PREFER_ENV_PATH := 1

help:
	@echo 'make book       build the book and print the address of its first page'
	@echo 'make notebooks  build the book and its notebooks, _build/notebooks/*.ipynb'
	@echo 'make pdf        print the book as one PDF (needs Chromium)'
	@echo 'make test       run the tests, the notebooks and the linters'
	@echo 'make bench      measure the promised speeds as ratios (some forty minutes)'
	@echo 'make quiz       write the predictions as a quiz bank, _build/quiz.gift'
	@echo 'make figures    write every figure as SVG and PDF, _build/figures'
	@echo 'make reference  compute anew what the tests of the lab compare it with'
	@echo 'make setup      install the packages into .venv (the others do it too)'
	@echo 'make lock       renew the locks, requirements*.txt'
	@echo 'make clean      remove _build (make distclean: .venv as well)'

setup:
	@sh scripts/setup.sh

# Notebooks and tests fill the cores: a second thread of TensorFlow or of NumPy's
# OpenBLAS would wait for them, and wait busily. A chapter takes 48 s of CPU time with
# two threads of TensorFlow and 32 s with one; the SVD of a matrix of 100 by 100 takes
# 98 ms with two threads of OpenBLAS beside busy cores, and 1 ms with one.
one_thread := TF_NUM_INTRAOP_THREADS=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

# Sphinx tells of a page's warnings only when it reads that page: after a build
# that failed or was stopped, the next one reads all pages again.
book: setup
	@if [ -f _build/.unfinished ]; then rm -rf _build/.doctrees; fi
	@mkdir -p _build && : > _build/.unfinished
	@env $(one_thread) .venv/bin/jupyter-book build . -W --keep-going
	@rm -f _build/.unfinished
	@$(python) -c 'import pathlib; \
	print("\nThe book:", pathlib.Path("_build/html/index.html").resolve().as_uri())'

pdf: book
	@$(python) scripts/pdf.py

notebooks: book
	@set -- _build/notebooks/*.ipynb; \
	if [ ! -f "$$1" ]; then echo 'The book wrote no notebooks.' >&2; exit 1; fi; \
	echo "The notebooks ($$#): $$(pwd -P)/_build/notebooks"

quiz: setup
	@$(python) scripts/quiz.py _build/quiz.gift

figures: setup
	@$(python) scripts/figures.py _build/figures

# A browser's driver and other graders: no part of the book's own lock.
.venv/.tests: requirements-test.txt | setup
	@echo 'Installing what the tests need ...'
	@$(python) -m pip install --quiet --disable-pip-version-check --no-input \
	    --no-deps --require-hashes --only-binary :all: -r requirements-test.txt
	@: > $@

# Every check runs, whatever the ones before it said.
test: book .venv/.tests
	@failed=; \
	check() { \
	    what=$$1; shift; \
	    printf '\n== %s\n' "$$what"; \
	    "$$@" || failed="$$failed$${failed:+, }$$what"; \
	}; \
	set --; \
	for folder in src tests book/_ext benchmarks scripts; do \
	    if [ -d "$$folder" ]; then set -- "$$@" "$$folder"; fi; \
	done; \
	check 'ruff check' $(python) -m ruff check "$$@"; \
	check 'ruff format' $(python) -m ruff format --check "$$@"; \
	check 'ruff check of the notebooks' $(python) -m ruff check --no-respect-gitignore _build/notebooks; \
	check 'codespell' .venv/bin/codespell; \
	check 'installed versions' $(pip_check); \
	check 'tests and notebooks' env $(one_thread) $(python) -m pytest tests _build/notebooks \
	    -n $(WORKERS) --no-loadscope-reorder \
	    --durations=10 --durations-min=10 \
	    --nbval --nbval-current-env --nbval-cell-timeout=$(CELL_TIMEOUT); \
	if [ -n "$$failed" ]; then \
	    printf '\nmake test: failed: %s\n' "$$failed" >&2; exit 1; \
	fi; \
	printf '\nmake test: all checks passed\n'

# Scripts that begin with an underscore are not run; those that need a download
# are left to people.
benchmarks := imports phase_diagram ensemble monitor lab_step grading

# Where tools find each other's modules: pytest's `pythonpath` in pyproject.toml.
tools := book/_ext scripts benchmarks tests/helpers
find_tools = PYTHONPATH=$$(printf ":$$(pwd -P)/%s" $(tools)); \
    PYTHONPATH=$${PYTHONPATH\#:}; export PYTHONPATH

# setup stands first: it may make .venv anew, and .tests with it.
bench: setup .venv/.tests
	@mkdir -p _build; failed=; $(find_tools); \
	for name in $(benchmarks); do \
	    printf '\n== %s\n' "$$name"; \
	    $(python) "benchmarks/$$name.py" --json "_build/bench/$$name.json" \
	        2> _build/bench.log || { tail -n 5 _build/bench.log >&2; failed="$$failed $$name"; }; \
	done; \
	if [ -n "$$failed" ]; then \
	    printf '\nmake bench: a promise was missed, or its script failed:%s\n' "$$failed" >&2; exit 1; \
	fi

reference: setup
	@$(find_tools); $(python) tests/lab/reference.py

lock:
	@set -e; \
	uv=$$(command -v uv) || { \
	    base=$$(sh scripts/setup.sh --find); \
	    trap 'rm -rf .venv-lock' EXIT; \
	    trap 'exit 130' INT TERM; \
	    "$$base" -m venv .venv-lock; \
	    .venv-lock/bin/python -m pip install --quiet --disable-pip-version-check uv; \
	    uv=.venv-lock/bin/uv; \
	}; \
	compile() { \
	    "$$uv" pip compile "$$@" --universal --generate-hashes \
	        --python-version 3.11 $(UPGRADE) --no-emit-index-url --no-emit-find-links \
	        --custom-compile-command 'make lock' --quiet; \
	}; \
	compile requirements.in $(addprefix --constraint ,$(CONSTRAINTS)) -o requirements.txt; \
	compile requirements-test.in --constraint requirements.txt -o requirements-test.txt; \
	if grep -n -e '^-' -e '://' requirements.txt requirements-test.txt; then \
	    echo 'A lock names a package index: see the lines above.' >&2; exit 1; \
	fi; \
	echo 'The locks are renewed; commit them together with requirements*.in.'

clean:
	@rm -rf _build
	@echo 'Removed _build; .venv stays (make distclean removes it too).'

distclean:
	@rm -rf _build .venv .venv-lock
	@echo 'Removed _build and .venv.'

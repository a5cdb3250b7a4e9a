# make book    install what is needed, build the book, print its address and serve it (SERVE=0: only build)
# make test    install what is needed, build the book, check everything
# make test-gpu    the same for the chapters, in full, and for what runs on a GPU, with the GPU builds that PYTHON has
# make clean-room  build the package, and run every chapter with nothing but it and what Colab has
# make links   ask for every address in the book and the README
# make run     run the chapters in full (PRESET=smoke, cpu or gpu) into _build/runs; it goes on where it was stopped
# make seeds   run the chapters with ten fresh seeds and write down what their claims measured
# make bench   time the operators against other libraries, into book/reference/benchmarks.csv
# make new-chapter NUMBER=12 TITLE="Scale space"    write a notebook with the cells that every chapter has
# make habits  set up what a maintainer wants: checks before each commit, and differences of notebooks that can be read
# make audit   look up known faults of everything that constraints.txt names
# make clean   remove what was built (.venv stays)

PYTHON  ?= python3
SERVE   ?= 1
PORT    ?= 8000
JOBS    ?= 2
PRESET  ?= cpu
# PyTorch's CPU builds for Linux. For an installed or GPU build of your own, see README.md.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

TENSORFLOW  := $(if $(filter Linux-x86_64,$(shell uname -sm | tr ' ' -)),tensorflow-cpu,tensorflow)

PY        := .venv/bin/python
BOOK      := $(wildcard _config.yml _toc.yml book/*.md book/*.ipynb book/reference/* book/_ext/*.py book/_static/*) $(shell find msvision -name '*.py')
export TF_CPP_MIN_LOG_LEVEL = 3
export TF_ENABLE_ONEDNN_OPTS = 0

.PHONY: book test test-gpu clean-room links run seeds bench new-chapter habits audit clean
.DELETE_ON_ERROR:

book: _build/html/index.html
	@echo "The book: file://$(CURDIR)/_build/html/index.html"
ifeq ($(SERVE),1)
	@echo "Serving it on http://127.0.0.1:$(PORT)/book/intro.html (stop with Ctrl+C)"
	@$(PY) -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html
endif

test: _build/html/index.html
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) tools/notebooks.py --check book/*.ipynb
	$(PY) -m pytest --doctest-modules msvision
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist worksteal tests
	$(PY) -m pytest -n $(JOBS) --dist loadfile --nbval --nbval-current-env --nbval-cell-timeout=600 --nbval-sanitize-with=tests/nbval.cfg book

# Not .venv, which has CPU builds.
test-gpu:
	$(PYTHON) tools/gpu.py

clean-room: .venv/dev
	$(PY) tools/clean_room.py --torch-index $(TORCH_INDEX)

links: _build/html/index.html .venv/dev
	.venv/bin/linkchecker --config tools/links.ini _build/html/book/intro.html *.md

run: .venv/installed
	$(PY) -m msvision run book --preset $(PRESET)

seeds: .venv/installed
	$(PY) tools/fresh_seeds.py $(sort $(wildcard book/[0-9]*.ipynb))

bench: .venv/installed
	for script in pyramids context memory networks search imports; do $(PY) benchmarks/$$script.py || exit 1; done
	$(PY) benchmarks/growth.py
	$(PY) benchmarks/figures.py

new-chapter: .venv/installed
	$(PY) tools/new_chapter.py $(NUMBER) "$(TITLE)"

habits: .venv/dev
	.venv/bin/pre-commit install
	.venv/bin/nbdime config-git --enable

audit: .venv/dev
	sed 's/+cpu//; /^#/d' constraints.txt > _build/audited.txt
	.venv/bin/pip-audit --no-deps --disable-pip -r _build/audited.txt

clean:
	rm -rf _build

_build/html/index.html: .venv/installed $(BOOK)
	rm -rf _build/html
	.venv/bin/jupyter-book build . -W --keep-going -n
	@touch $@

# torch comes first and by itself: "+cpu" is never a CUDA build, and only this line looks at PyTorch's own index.
.venv/installed: constraints.txt pyproject.toml
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --disable-pip-version-check --no-deps --retries 1 --timeout 20 --extra-index-url $(TORCH_INDEX) -c constraints.txt torch torchvision
	$(PY) -m pip install --disable-pip-version-check -c constraints.txt torch $(TENSORFLOW) keras
	$(PY) -m pip install --disable-pip-version-check -c constraints.txt -e ".[book,test]"
	@touch $@

.venv/dev: .venv/installed
	$(PY) -m pip install --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

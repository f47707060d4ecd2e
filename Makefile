.DEFAULT_GOAL := help
SHELL := bash
PY := .venv/bin/python
QUESTION ?= Why is checkout failing?
STATE ?= .run

.PHONY: help setup run test test-cluster test-e2e images sbom lint format bench eval sample dashboards rules pictures docs requirements clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## everything that run and test need, into .venv (a second run takes a second)
	@scripts/setup.sh

run: setup ## start everything, diagnose the sample cluster, stay up (ONCE=1: end; CLUSTER=context: your own)
	@.venv/bin/kubetriage serve --state "$(STATE)" --ask "$(QUESTION)" $(if $(ONCE),--once) $(if $(CLUSTER),--context "$(CLUSTER)",--bundle samples/shop.tar.gz)

test: setup ## the whole suite: real Redis, real Chroma, real HTTP
	@env -u KUBECONFIG $(PY) -m pytest -q

test-cluster: setup ## real faults in the cluster that KUBECONFIG names
	@$(PY) -m pytest -q -m cluster

images: ## build the images with docker, podman or buildah and print their sizes (LOAD=1: into the cluster, too)
	@scripts/images.sh

sbom: setup ## what the images hold of Python packages, as CycloneDX in build/sbom
	@scripts/sbom.sh

test-e2e: setup ## build and load the images, install the chart in the cluster that KUBECONFIG names, break it
	@LOAD=1 scripts/images.sh && $(PY) -m pytest -q -m e2e tests/e2e

lint: setup ## ruff, mypy --strict, import-linter
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports --no-logo 2>&1 | tail -n 14; exit $${PIPESTATUS[0]}

format: setup ## ruff's fixes and formatting
	@.venv/bin/ruff check --fix . ; .venv/bin/ruff format .

bench: setup ## how fast and how heavy, each figure beside something on the same machine
	@$(PY) -m bench

eval: setup ## Cloud-OpsBench: make eval CASES=folder INDEX=cases.jsonl
	@.venv/bin/kubetriage eval cloud-opsbench --cases "$(CASES)" --index "$(INDEX)" --out predictions.jsonl --jobs 2

sample: setup ## run the shop in the cluster that KUBECONFIG names and capture samples/shop.tar.gz anew
	@tests/shop/recreate

dashboards: setup ## write the Grafana dashboards' JSON from deploy/grafana
	@$(PY) -m deploy.grafana

rules: setup ## write deploy/prometheus/rules.yaml from the chart's rules (needs helm)
	@$(PY) helm/rules.py

pictures: setup ## run everything under load for eight minutes and draw the dashboards (docs/dashboards)
	@$(PY) -m tests.deployment.observed --out docs/dashboards

docs: setup ## regenerate docs/causes.md and docs/diagnosis.schema.json
	@$(PY) -m kubetriage.cli.generate

requirements: setup ## pin all requirement files anew
	@for name in gateway agent ingest dev sbom uv; do .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements/$$name.in -o requirements/$$name.txt; done

clean: ## remove .venv, state and caches
	rm -rf .venv .run .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist *.egg-info

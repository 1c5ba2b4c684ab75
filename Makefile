# make setup   find or fetch libtorch and onnxruntime, compile bin/
# make demo    train a small model from nothing, export it, let it search (12 minutes on 2 cores)
# make paper   the paper in miniature: tables, figures and findings over 5 seeds; QUICK=1: one seed
# make test    all tests
# make check   formatting, vet, staticcheck, import directions, go.mod
# make bench-grade bench-alfworld   speed against the Python originals, installed in .deps/
# make bench-decode  greedy decoding against llama.cpp and onnxruntime-genai
# make bench-tokenizer  encoding against Hugging Face tokenizers
# make bench-search  the paper's beam search against Python versions of it, installed in .deps/
# make golden  recompute the reference values of the tests with PyTorch and transformers

SHELL := /bin/bash
ENV   := . .deps/env &&

.PHONY: setup demo paper test check golden clean bench-grade bench-alfworld bench-decode bench-tokenizer bench-search

setup:
	@go run ./cmd/oreo-setup

demo: setup
	@bin/oreo-demo

paper: setup
	@bin/oreo-paper $(if $(QUICK),--seeds 1)

# Never cached: some tests build and run the commands, which the test cache does not see.
test: setup
	@$(ENV) go test -count=1 -timeout 20m ./...

check: setup
	@test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	@$(ENV) go vet ./...
	@$(ENV) go tool staticcheck ./...
	@go mod tidy -diff

bench-grade:
	@go run ./math/grade/bench

bench-alfworld:
	@go run ./alfworld/internal/bench

# The first run compiles llama.cpp: ten minutes.
bench-decode: setup
	@$(ENV) go run ./cmd/internal/benchdecode

bench-tokenizer:
	@go run ./runtime/tokenizer/bench

bench-search: setup
	@$(ENV) go run ./cmd/internal/benchsearch

# Reference values of the tests, from the libraries we agree with. PYTHON may
# name an interpreter that has them already.
PYTHON ?= .deps/golden/bin/python
golden: $(if $(filter .deps/golden/bin/python,$(PYTHON)),.deps/golden/bin/python)
	$(PYTHON) train/loss/testdata/gen/reference.py train/loss/testdata/reference.safetensors
	$(PYTHON) train/nn/testdata/gen/reference.py train/nn/testdata
	$(PYTHON) train/nn/testdata/gen/adapters.py train/nn/testdata
	$(PYTHON) train/schedule/testdata/gen/cosine.py
	$(PYTHON) train/track/testdata/gen/events.py
	$(PYTHON) export/testdata/gen/tiny.py export/testdata
	$(PYTHON) runtime/tokenizer/testdata/gen/small.py
	$(PYTHON) runtime/chat/testdata/gen/jinja.py
	$(PYTHON) runtime/sample/testdata/gen/warpers.py > runtime/sample/testdata/warpers.json

.deps/golden/bin/python:
	python3 -m venv .deps/golden
	.deps/golden/bin/pip install torch==2.11.0 transformers==5.23.0 peft==0.21.2 tokenizers safetensors numpy jinja2 tensorboard

clean:
	rm -rf bin out

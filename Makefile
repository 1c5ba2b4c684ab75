# make setup   find or fetch libtorch and onnxruntime, compile bin/
# make demo    train a small model from nothing, export it, let it search (12 minutes on 2 cores)
# make test    all tests
# make check   formatting, vet, staticcheck, import directions, go.mod
# make golden  recompute the reference values of the tests with PyTorch and transformers

SHELL := /bin/bash
ENV   := . .deps/env &&

.PHONY: setup demo test check golden clean

setup:
	@go run ./cmd/oreo-setup

demo: setup
	@bin/oreo-demo

test: setup
	@$(ENV) go test -timeout 20m ./...

check: setup
	@test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	@$(ENV) go vet ./...
	@$(ENV) go tool staticcheck ./...
	@go mod tidy -diff

golden:
	@train/testdata/golden.sh

clean:
	rm -rf bin out

#!/bin/sh
# Writes gen_onnx.pb.go from the schema onnx-ml.proto that the onnx wheel ships.
# usage: export/onnx/generate.sh PYTHON
# PYTHON needs: pip install onnx==1.23.2 grpcio-tools==1.85.1
#
# The schema's comments are dropped. Its proto package becomes oreo.onnx: the
# registry of google.golang.org/protobuf panics at start-up when two packages of
# a program claim one name, and onnx-go, the reader of `oreo-export inspect`,
# claims "onnx". The package name is not part of the wire format.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
GOBIN=$work go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.11
proto=$("$1" -c 'import onnx, os; print(os.path.join(os.path.dirname(onnx.__file__), "onnx-ml.proto"))')
sed -e 's|[ \t]*//.*$||' -e 's/^package onnx;/package oreo.onnx;/' "$proto" | cat -s >"$work/gen_onnx.proto"
"$1" -m grpc_tools.protoc --plugin="$work/protoc-gen-go" --proto_path="$work" --go_out="$here" \
	--go_opt=paths=source_relative --go_opt=Mgen_onnx.proto=github.com/oreo-go/oreo/export/onnx gen_onnx.proto

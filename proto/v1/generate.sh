# Makes the Go of batch.proto, with protoc of Debian 12 (protobuf-compiler and
# libprotobuf-dev 3.21.12).
set -eu
hubble=$(go list -m -f '{{.Dir}}' github.com/cilium/cilium)/api/v1
protoc -I . -I "$hubble" \
	--plugin=protoc-gen-go="$(go tool -n protoc-gen-go)" --go_out=. --go_opt=paths=source_relative \
	--plugin=protoc-gen-go-grpc="$(go tool -n protoc-gen-go-grpc)" --go-grpc_out=. --go-grpc_opt=paths=source_relative \
	batch.proto

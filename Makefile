# What a release is called; without it the binary takes the version from git.
VERSION ?=
# The compiler of the BPF programs. Another version makes other objects, and CI
# holds that the ones checked in are what this one makes.
CLANG := clang-16
CLANG_VERSION := 16.0.6
PROTOC_VERSION := 3.21.12
TESTFLAGS ?=
# The image's name; its tag is VERSION, or devel.
IMAGE ?= ghcr.io/fovea-obs/fovea
# What image-archive makes one for: amd64 or arm64.
ARCH ?= $(shell go env GOARCH)
# By count: by time, go test fails now and then when the time is over.
FUZZTIME ?= 50000x
# What the binary builds for; outside of Linux it is the relay alone.
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

# Modules of their own, for what the product must not depend on.
NESTED := $(sort $(dir $(shell find hack -name go.mod -not -path '*/testdata/*')))
MODULES := . $(NESTED)

.PHONY: build
build: ## The binary, static, in bin/.
	CGO_ENABLED=0 go build -trimpath -ldflags '-X main.release=$(VERSION)' -o bin/fovea .

.PHONY: cross
cross: ## That the binary builds for each platform, which go vet checks too. Keeps nothing.
	@set -e; for p in $(PLATFORMS); do \
		export CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/}; echo "go vet and build for $$p"; \
		go vet .; go build -o /dev/null .; \
	done
	GOARCH=arm64 go vet -tags e2e ./...

.PHONY: image
image: ## The image for amd64 and arm64: an OCI archive, in bin/. Needs buildah, or docker.
	go run ./hack/image/build -name '$(IMAGE)' -version '$(VERSION)' -architectures amd64,arm64 -archive bin/fovea-image.tar

.PHONY: image-archive
image-archive: ## The image for ARCH, for nodes without a registry: ctr images import takes it.
	go run ./hack/image/build -name '$(IMAGE)' -version '$(VERSION)' -architectures '$(ARCH)' -archive bin/fovea-image-$(ARCH).tar

.PHONY: generate
generate: ## The BPF objects and their Go types, from the C; the messages in proto/.
	@$(CLANG) --version 2>/dev/null | grep -q 'version $(CLANG_VERSION)' && \
	command -v llvm-strip-16 >/dev/null && test -f /usr/include/bpf/bpf_helpers.h || { \
		echo 'generate needs clang $(CLANG_VERSION), llvm-strip and the headers of libbpf. On Debian 12:'; \
		echo '    apt-get install clang-16 llvm-16 libbpf-dev linux-libc-dev'; exit 1; }
	@protoc --version 2>/dev/null | grep -q ' $(PROTOC_VERSION)$$' && test -f /usr/include/google/protobuf/any.proto || { \
		echo 'generate needs protoc $(PROTOC_VERSION) and its messages. On Debian 12:'; \
		echo '    apt-get install protobuf-compiler libprotobuf-dev'; exit 1; }
	go generate ./bpf ./hack/bench/bpf ./proto/...

.PHONY: demo
demo: build ## A small cluster in network namespaces, observed by the stock hubble CLI. Needs root.
	go run ./hack/demo bin/fovea

.PHONY: test
test: compiler ## All tests, with the race detector. Needs root.
	@status=0; for m in $(MODULES); do \
		(cd $$m && packages=$$(go list ./...) && { test -z "$$packages" || go test -race $(TESTFLAGS) ./...; }) || status=1; \
	done; exit $$status

.PHONY: e2e
e2e: ## The tests of the image, and those on a real Kubernetes cluster. Needs root; CONTRIBUTING.md says what else.
	@go run ./hack/stock/prepare
	@go test -tags e2e -count=1 -p 1 -timeout=15m $(TESTFLAGS) ./hack/image ./hack/cluster/e2e

# The race detector needs a C compiler.
.PHONY: compiler
compiler:
	@command -v gcc >/dev/null || { apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev; } >&2

.PHONY: fuzz
fuzz: ## Each fuzz target for FUZZTIME.
	@set -e; grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sort -u | while IFS=: read -r file func; do \
		echo "$$(dirname $$file): $${func#func }"; \
		(cd $$(dirname $$file) && go test -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 2s . </dev/null); \
	done

.PHONY: bench
bench: ## Benchmarks, one JSON object a line. Needs root.
	@go run ./hack/bench

.PHONY: lint
lint: ## Format, vet, the rules of the house, staticcheck.
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not gofmt'ed:"; echo "$$unformatted"; exit 1; }
	go vet -tags e2e ./...
	GOFLAGS="$$GOFLAGS -tags=e2e" go run ./hack/lint
	go tool staticcheck -tags e2e ./...

.PHONY: clean
clean: ## Remove what was built.
	rm -rf bin

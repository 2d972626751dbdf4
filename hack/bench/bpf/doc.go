// Package bpf holds what the programs that run for every packet are measured
// against and with.
package bpf

//go:generate go tool bpf2go -cc clang-16 -strip llvm-strip-16 -target amd64,arm64 Bench bench.bpf.c -- -O2 -mcpu=v2 -Wall -Werror -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include/aarch64-linux-gnu

// Package bpf holds the programs that run in the kernel, and the Go types and
// objects generated from them. Building the Go code needs no clang: the objects
// are checked in.
//
// fovea.h is what the programs and the agent share; kernel.h the few fields of
// kernel structures that are read; key.h, parse.h, conn.h, conntrack.h, drop.h and network.h
// hold one concern each, and fovea.bpf.c the programs. The C is under GPL-2.0-only
// or BSD-2-Clause, at the user's choice.
package bpf

//go:generate go tool bpf2go -cc clang-16 -strip llvm-strip-16 -target amd64,arm64 -type event -type event_kind -type event_cause -type event_flag -type reply -type link -type stats -type conn -type conn_key -type scope -type translation -type end Fovea fovea.bpf.c -- -O2 -mcpu=v3 -Wall -Werror -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include/aarch64-linux-gnu

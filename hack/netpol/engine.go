package netpol

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/fovea-obs/fovea/hack/lab"
)

// Objects are all of the cluster that policies speak of, as the API lists them.
type Objects struct {
	Namespaces []corev1.Namespace
	Pods       []corev1.Pod
	Policies   []networkingv1.NetworkPolicy
}

// table is where the rules are. To name it before it is deleted makes that work
// also where it is not there.
const (
	table  = "inet netpol"
	remove = "table " + table + "\ndelete table " + table + "\n"
)

// Enforce has the node of that name, with the network namespace, enforce policies
// in the place of those that it did before. On an error those stay.
func Enforce(ctx context.Context, ns *lab.Namespace, node string, o Objects) error {
	rules, err := Ruleset(node, o)
	if err == nil {
		err = nft(ctx, ns, remove+rules)
	}
	if err != nil {
		return fmt.Errorf("enforce network policies on %s: %w", node, err)
	}
	return nil
}

// Remove has a node enforce nothing any more.
func Remove(ctx context.Context, ns *lab.Namespace) error {
	if err := nft(ctx, ns, remove); err != nil {
		return fmt.Errorf("remove network policies: %w", err)
	}
	return nil
}

// nft runs a script of commands, all or none of them, in a network namespace.
func nft(ctx context.Context, ns *lab.Namespace, script string) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	var text bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(script), &text, &text
	if err := ns.Run(cmd); err != nil {
		return fmt.Errorf("nft: %w: %s", errors.Join(err, context.Cause(ctx)), text.String())
	}
	return nil
}

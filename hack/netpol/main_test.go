package netpol

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"

	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// check ends the test if err is set.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// add reads objects in YAML.
func (o *Objects) add(t *testing.T, text string) {
	t.Helper()
	for documents := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		check(t, err)
		var of metav1.TypeMeta
		check(t, yaml.Unmarshal(document, &of))
		switch of.Kind {
		case "Namespace":
			add(t, &o.Namespaces, document)
		case "Pod":
			add(t, &o.Pods, document)
		case "NetworkPolicy":
			add(t, &o.Policies, document)
		default:
			t.Fatalf("kind %q", of.Kind)
		}
	}
}

// add reads an object and adds it to a list.
func add[T any](t *testing.T, to *[]T, document []byte) {
	t.Helper()
	var o T
	check(t, yaml.UnmarshalStrict(document, &o))
	*to = append(*to, o)
}

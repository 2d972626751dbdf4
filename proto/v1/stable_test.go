package foveapb

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// stable is what relays and agents say to each other. While nodes are upgraded those of
// two versions talk with each other: a line that was in a release stays as it is, and
// lines may be added. A version that knows less passes over what is new to it.
const stable = `
fovea.v1.Batches/GetFlows observer.GetFlowsRequest -> stream fovea.v1.Batch
fovea.v1.Batch 1 responses bytes optional
fovea.v1.Batch 2 sizes uint32 repeated
fovea.v1.Batch 3 times sint64 repeated
fovea.v1.Batch 4 watermark int64 optional
`

func TestStable(t *testing.T) {
	if diff := cmp.Diff(strings.TrimSpace(stable), strings.TrimSpace(describe(File_batch_proto))); diff != "" {
		t.Errorf("want - and have +\n%s", diff)
	}
}

// describe has a line for each method and field.
func describe(file protoreflect.FileDescriptor) string {
	var text strings.Builder
	for services, i := file.Services(), 0; i < services.Len(); i++ {
		for methods, j := services.Get(i).Methods(), 0; j < methods.Len(); j++ {
			m := methods.Get(j)
			stream := ""
			if m.IsStreamingServer() {
				stream = "stream "
			}
			fmt.Fprintf(&text, "%s/%s %s -> %s%s\n", services.Get(i).FullName(), m.Name(), m.Input().FullName(), stream, m.Output().FullName())
		}
	}
	for messages, i := file.Messages(), 0; i < messages.Len(); i++ {
		for fields, j := messages.Get(i).Fields(), 0; j < fields.Len(); j++ {
			f := fields.Get(j)
			fmt.Fprintf(&text, "%s %d %s %v %v\n", messages.Get(i).FullName(), f.Number(), f.Name(), f.Kind(), f.Cardinality())
		}
	}
	return text.String()
}

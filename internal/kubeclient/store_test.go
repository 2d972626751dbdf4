package kubeclient

import (
	"slices"
	"testing"
)

// TestTyped has a store that keeps of texts how long they are, as a Reflector fills it.
func TestTyped(t *testing.T) {
	var got []int
	s := NewTyped(func(given any) (int, bool) {
		text, ok := given.(string)
		return len(text), ok
	}, func(n int) { got = append(got, n) }, func(n int) { got = append(got, -n) }, func(all []int) { got = all })
	kept, err := s.Transformer()("four")
	if err != nil || kept != any(4) {
		t.Fatalf("kept %v, %v", kept, err)
	}
	for _, step := range []struct {
		do   func() error
		want []int
		bad  bool
	}{
		{func() error { return s.Replace([]any{listed{kept}, 5, "three"}, "1") }, []int{4, 5, 5}, false},
		{func() error { return s.Add("1") }, []int{4, 5, 5, 1}, false},
		{func() error { return s.Update(2) }, []int{4, 5, 5, 1, 2}, false},
		{func() error { return s.Delete("1") }, []int{4, 5, 5, 1, 2, -1}, false},
		{func() error { return s.Add(1.5) }, []int{4, 5, 5, 1, 2, -1}, true},
		{func() error { return s.Delete(nil) }, []int{4, 5, 5, 1, 2, -1}, true},
		{func() error { return s.Replace([]any{1, 1.5}, "2") }, []int{4, 5, 5, 1, 2, -1}, true},
		{s.Resync, []int{4, 5, 5, 1, 2, -1}, false},
		{func() error { return s.Replace(nil, "3") }, []int{}, false},
	} {
		if err := step.do(); (err != nil) != step.bad || !slices.Equal(got, step.want) {
			t.Errorf("got %v, %v, want %v", got, err, step.want)
		}
	}
}

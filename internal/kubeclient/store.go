package kubeclient

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
)

// Store is where objects are put: what is kept of them is handed on.
type Store = cache.TransformingStore

// Typed is a store of one kind of objects, of each of which an O is kept.
type Typed[O any] struct {
	convert func(any) (O, bool)
	set     func(O)
	remove  func(O)
	replace func([]O)
}

// NewTyped returns a store that keeps nothing itself. Convert returns what is kept of
// an object of the API, or that it is of another kind. Set is told what came or
// changed, remove what went, as it was last, and replace all that there is, in the
// place of all before.
func NewTyped[O any](convert func(any) (O, bool), set, remove func(O), replace func([]O)) *Typed[O] {
	return &Typed[O]{convert, set, remove, replace}
}

// Transformer returns what turns an object of the API into what is kept of it.
func (s *Typed[O]) Transformer() cache.TransformFunc {
	return func(given any) (any, error) { return s.take(given) }
}

func (s *Typed[O]) take(given any) (kept O, err error) {
	if l, ok := given.(listed); ok {
		given = l.object
	}
	if kept, ok := given.(O); ok {
		return kept, nil
	}
	kept, ok := s.convert(given)
	if !ok {
		return kept, fmt.Errorf("unexpected %T", given)
	}
	return kept, nil
}

// Add hands on an object that came.
func (s *Typed[O]) Add(given any) error {
	kept, err := s.take(given)
	if err == nil {
		s.set(kept)
	}
	return err
}

// Update hands on an object that changed.
func (s *Typed[O]) Update(given any) error { return s.Add(given) }

// Delete hands on an object that went, as it was last.
func (s *Typed[O]) Delete(given any) error {
	kept, err := s.take(given)
	if err == nil {
		s.remove(kept)
	}
	return err
}

// Replace hands on all the objects that there are.
func (s *Typed[O]) Replace(given []any, _ string) error {
	all := make([]O, 0, len(given))
	for _, g := range given {
		kept, err := s.take(g)
		if err != nil {
			return err
		}
		all = append(all, kept)
	}
	s.replace(all)
	return nil
}

// Resync does nothing: nothing is told again.
func (*Typed[O]) Resync() error { return nil }

// reporting is a store of which it is told when it has all that there is.
type reporting struct {
	Store
	replaced func()
}

// Replace is the store's.
func (r *reporting) Replace(given []any, version string) error {
	err := r.Store.Replace(given, version)
	if err == nil {
		r.replaced()
	}
	return err
}

// listed has what is kept of an object pass as an object in a list.
type listed struct{ object any }

// GetObjectKind tells nothing.
func (listed) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject returns the same, as what is kept is never changed.
func (l listed) DeepCopyObject() runtime.Object { return l }

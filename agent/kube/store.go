package kube

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
)

// name is what an object is called.
type name struct{ namespace, name string }

// object is what is kept of an object of the API.
type object interface{ id() name }

// store is where a Reflector puts objects: what is kept of them is handed on.
type store = cache.TransformingStore

// typed is a store of one kind of objects. Convert may be given what is kept
// already.
type typed[O object] struct {
	convert func(any) (O, bool)
	set     func(O)
	remove  func(O)
	replace func([]O)
}

// Transformer returns what turns an object of the API into what is kept of it.
func (s *typed[O]) Transformer() cache.TransformFunc {
	return func(given any) (any, error) { return s.take(given) }
}

func (s *typed[O]) take(given any) (kept O, err error) {
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
func (s *typed[O]) Add(given any) error {
	kept, err := s.take(given)
	if err == nil {
		s.set(kept)
	}
	return err
}

// Update hands on an object that changed.
func (s *typed[O]) Update(given any) error { return s.Add(given) }

// Delete hands on an object that went, as it was last.
func (s *typed[O]) Delete(given any) error {
	kept, err := s.take(given)
	if err == nil {
		s.remove(kept)
	}
	return err
}

// Replace hands on all the objects that there are.
func (s *typed[O]) Replace(given []any, _ string) error {
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
func (*typed[O]) Resync() error { return nil }

// reporting is a store of which it is told when it has all that there is.
type reporting struct {
	store
	replaced func()
}

// Replace is the store's.
func (r *reporting) Replace(given []any, version string) error {
	err := r.store.Replace(given, version)
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

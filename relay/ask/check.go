package ask

import "google.golang.org/protobuf/proto"

const (
	// checkedFirst is how many responses of a stream are read whole, checkedThen of how
	// many one is after that: to read a flow takes several times as long as to forward
	// it.
	checkedFirst = 64
	checkedThen  = 256
)

// checker reads some of a stream's responses whole.
type checker struct {
	into proto.Message
	seen int
}

// check fails for a response that no client could read, if it looks at it.
func (c *checker) check(response []byte) error {
	if c.seen++; c.seen > checkedFirst && c.seen%checkedThen != 0 {
		return nil
	}
	return proto.Unmarshal(response, c.into)
}

package ask

import (
	"google.golang.org/protobuf/proto"

	"github.com/fovea-obs/fovea/relay/peers"
)

const (
	// checkedFirst is how many responses of a stream are read whole, checkedThen of how
	// many one is after that: to read a flow takes several times as long as to forward
	// it.
	checkedFirst = 64
	checkedThen  = 256
)

// response is one of any Method.
type response interface {
	proto.Message
	GetNodeName() string
}

// checker reads some of the responses whole that a peer tells in a stream.
type checker struct {
	of   *peers.Peer
	into response
	seen int
}

// check fails for a response that no client could read, if it looks at it.
func (c *checker) check(response []byte) error {
	if c.seen++; c.seen > checkedFirst && c.seen%checkedThen != 0 {
		return nil
	}
	err := proto.Unmarshal(response, c.into)
	if err == nil {
		c.of.Told(c.into.GetNodeName())
	}
	return err
}

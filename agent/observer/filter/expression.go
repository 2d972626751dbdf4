package filter

import (
	"errors"
	"fmt"
	"strconv"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"google.golang.org/protobuf/proto"

	"github.com/fovea-obs/fovea/agent/observer/cel"
	"github.com/fovea-obs/fovea/agent/observer/encode"
)

// expressionRows is how many rows are looked at in one go where there are
// expressions: a request may have as many of them as a list, and each takes up to
// 100 µs for a flow (see package cel).
const expressionRows = 64

// experimental takes expressions of CEL. They are asked last, of the flows that
// all else of the filter leaves.
func (c *builder) experimental(e *flowpb.FlowFilter_Experimental) error {
	if len(e.GetCelExpression()) == 0 {
		return nil
	}
	c.field = "experimental.cel_expression"
	if c.plan.expressions += len(e.GetCelExpression()); c.plan.expressions > cel.MaxExpressions {
		return c.invalid(strconv.Itoa(c.plan.expressions)+" expressions", fmt.Sprintf("at most %d in a request", cel.MaxExpressions))
	}
	program, err := c.cel.Compile(e.GetCelExpression())
	var wrong *cel.Error
	switch {
	case errors.As(err, &wrong):
		return c.invalid(e.GetCelExpression()[wrong.Index], "a boolean expression of CEL over _flow ("+wrong.Reason+")")
	case err != nil:
		return err
	}
	// Only what they look at is made of a flow.
	mask := encode.Mask{}
	if fields := program.Fields(); fields == nil || len(fields) > 0 {
		if mask, err = encode.NewMask(fields...); err != nil {
			return err
		}
	}
	// Masks of their own would crowd out those that all use.
	x := &expressions{program: program, encoder: encode.NewFactory(c.t).New(mask)}
	c.last = append(c.last, predicate{keep: x.keep})
	return nil
}

// expressions are asked of flows as messages, which costs far more than to look
// at columns.
type expressions struct {
	program *cel.Program
	encoder *encode.Encoder
	message []byte
	flow    flowpb.Flow
}

func (x *expressions) keep(b *block, rows *Rows) {
	x.encoder.Renew()
	keepWhere(b, rows, x.match)
}

func (x *expressions) match(b *block, row int) bool {
	x.message = x.encoder.Message(x.message[:0], b.Columns, row, b.first+uint64(row))
	return proto.Unmarshal(x.message, &x.flow) == nil && x.program.Match(&x.flow)
}

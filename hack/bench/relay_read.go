package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/fovea-obs/fovea/internal/rpc"
)

// The numbers of fields of observer.GetFlowsResponse, and of a Timestamp.
const (
	responseFlow   = 1
	responseStatus = 2
	responseTime   = 1001

	timeSeconds = 1
	timeNanos   = 2
)

// response is what is looked at of an observer.GetFlowsResponse. Reading all of it
// would cost the client more than it costs the relay to send it.
type response struct {
	isFlow, isStatus bool
	at               time.Time
}

// errEnough has ask end.
var errEnough = errors.New("enough")

// ask calls GetFlows and has each response taken, until there are no more or take
// returns errEnough.
func (r *relay) ask(ctx context.Context, req *observerpb.GetFlowsRequest, take func(response) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := r.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true},
		observerpb.Observer_GetFlows_FullMethodName, grpc.ForceCodecV2(rpc.NewRawCodec()))
	if err == nil {
		err = errors.Join(stream.SendMsg(req), stream.CloseSend())
	}
	var m rpc.Raw
	defer m.Close()
	for err == nil {
		if err = stream.RecvMsg(&m); err != nil {
			break
		}
		var read response
		if read, err = readResponse(m.Piece.Bytes()); err == nil {
			err = take(read)
		}
		m.Piece.Free()
	}
	if errors.Is(err, io.EOF) || errors.Is(err, errEnough) {
		return nil
	}
	return fmt.Errorf("ask a relay for flows: %w", err)
}

func readResponse(b []byte) (r response, err error) {
	var seconds, nanos int64
	err = eachField(b, func(number protowire.Number, _ uint64, value []byte) error {
		switch number {
		case responseFlow:
			r.isFlow = true
		case responseStatus:
			r.isStatus = true
		case responseTime:
			return eachField(value, func(number protowire.Number, v uint64, _ []byte) error {
				switch number {
				case timeSeconds:
					seconds = int64(v)
				case timeNanos:
					nanos = int64(v)
				}
				return nil
			})
		}
		return nil
	})
	r.at = time.Unix(seconds, nanos)
	return r, err
}

// eachField has the fields of a message seen that are numbers or bytes.
func eachField(b []byte, see func(number protowire.Number, v uint64, value []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var v uint64
		var value []byte
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			value, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := see(number, v, value); err != nil {
			return err
		}
	}
	return nil
}

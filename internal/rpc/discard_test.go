package rpc

import (
	"bytes"
	"io"
	"net"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// discardVariable names the server to which a process of this test connects to
// discard what it sends.
const discardVariable = "FOVEA_TEST_DISCARD"

// discard calls /test.Source/Run and reads what comes, until the connection
// ends. It knows just enough of HTTP/2 to cost nothing.
func discard(address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	const window = 1<<31 - 1
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return err
	}
	framer := http2.NewFramer(conn, nil)
	var header bytes.Buffer
	encoder := hpack.NewEncoder(&header)
	for _, f := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", "/test.Source/Run"}, {":authority", address},
		{"content-type", "application/grpc"}, {"te", "trailers"},
	} {
		if err := encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			return err
		}
	}
	const stream = 1
	for _, write := range []func() error{
		func() error {
			return framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window / 2})
		},
		framer.WriteSettingsAck,
		func() error { return framer.WriteWindowUpdate(0, window/2) },
		func() error {
			return framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: header.Bytes(), EndHeaders: true})
		},
		func() error { return framer.WriteData(stream, true, make([]byte, 5)) },
	} {
		if err := write(); err != nil {
			return err
		}
	}
	buffer := make([]byte, 1<<18)
	for read := 0; ; {
		n, err := conn.Read(buffer)
		if err != nil {
			return err
		}
		if read += n; read < window/64 {
			continue
		}
		for _, id := range []uint32{0, stream} {
			if err := framer.WriteWindowUpdate(id, uint32(read)); err != nil {
				return err
			}
		}
		read = 0
	}
}

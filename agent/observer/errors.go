package observer

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// invalid is the error for a value that a request's field must not have.
func invalid(field, value, allowed string) error {
	return status.Errorf(codes.InvalidArgument, "%s: %q is not valid: %s expected", field, value, allowed)
}

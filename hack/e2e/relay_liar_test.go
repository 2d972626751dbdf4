package e2e

import (
	"testing"
)

func testSlowReaders(t *testing.T, c *cluster) {}
func testClocks(t *testing.T, c *cluster)      {}
func testRubbish(t *testing.T, c *cluster)     {}

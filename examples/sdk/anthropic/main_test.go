package main

import (
	"testing"

	"github.com/sparekey/sparekey/examples/sdk/internal/labtest"
)

func TestTable(t *testing.T) {
	labtest.Run(t, provider, "*anthropic.Error 503 overloaded_error breaker_open")
}

func TestSharedBudget(t *testing.T) { labtest.RunShared(t, provider) }

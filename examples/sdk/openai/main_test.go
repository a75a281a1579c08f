package main

import (
	"testing"

	"github.com/sparekey/sparekey/examples/sdk/internal/labtest"
)

func TestTable(t *testing.T) {
	labtest.Run(t, provider, "*openai.Error 503 service_unavailable_error breaker_open")
}

func TestSharedBudget(t *testing.T) { labtest.RunShared(t, provider) }

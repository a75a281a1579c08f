package providersim_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/sparekey/sparekey/transport/transporttest/providersim"
)

func Example() {
	sim := providersim.New(providersim.Config{Dialect: providersim.Anthropic, Quota: 1})
	for range 2 {
		w := httptest.NewRecorder()
		sim.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/messages", strings.NewReader(`{}`)))
		fmt.Println(w.Code)
	}
	fmt.Println(sim.Stats().Calls, sim.Stats().Billed)
	// Output:
	// 200
	// 429
	// 2 1
}

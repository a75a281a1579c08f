package cache_test

import (
	"fmt"
	"io"
	"net/http"

	"github.com/sparekey/sparekey/cache"
)

// A client that asks for a list of labels time and again gets it from memory for
// as long as the service says that it is good.
func ExampleHTTP() {
	service := transportFunc(func(*http.Request) (*http.Response, error) {
		resp := response(http.StatusOK, `["billing","shipping"]`)
		resp.Header.Set("Cache-Control", "max-age=60")
		return resp, nil
	})
	client := &http.Client{Transport: cache.HTTP(cache.HTTPConfig{})(service)}

	for range 2 {
		resp, err := client.Get("https://api.test/v1/functions/tickets/labels")
		if err != nil {
			fmt.Println(err)
			return
		}
		labels, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		fmt.Printf("%s\n%s\n", resp.Header.Get("Cache-Status"), labels)
	}
	// Output:
	// sparekey; fwd=uri-miss; fwd-status=200; stored
	// ["billing","shipping"]
	// sparekey; hit; ttl=59
	// ["billing","shipping"]
}

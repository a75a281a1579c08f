package tape_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/tape"
)

// What a real service answered once is served again without it.
func ExampleRecorder() {
	real := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"labelName": "delivery", "confidence": 0.97}`)
	}))
	var file bytes.Buffer
	ask := func(client *http.Client, url string) {
		req, err := http.NewRequest("POST", url+"/v1/functions/tickets/invoke", strings.NewReader(`{"data": "Where is it?"}`))
		if err != nil {
			fmt.Println(err)
			return
		}
		req.Header.Set("Authorization", "Bearer a-real-token")
		resp, err := client.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		fmt.Println(resp.Status, string(body), err)
	}
	ask(&http.Client{Transport: tape.NewRecorder(nil, &file)}, real.URL)
	real.Close()
	fmt.Print(file.String())

	player, err := tape.NewPlayer(&file)
	if err != nil {
		fmt.Println(err)
		return
	}
	replayed := httptest.NewServer(player)
	defer replayed.Close()
	ask(http.DefaultClient, replayed.URL)
	// Output:
	// 200 OK {"labelName": "delivery", "confidence": 0.97} <nil>
	// {"method":"POST","path":"/v1/functions/tickets/invoke","body":{"json":{"data":"Where is it?"}},"status":200,"header":{"Content-Type":["application/json"]},"answer":{"json":{"confidence":0.97,"labelName":"delivery"}}}
	// 200 OK {"confidence":0.97,"labelName":"delivery"} <nil>
}

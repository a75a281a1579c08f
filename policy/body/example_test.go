package body_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sparekey/sparekey/policy/body"
)

// A layer that limits how many requests are under way holds its permit until
// the body ends, however that is.
func ExampleWatch() {
	permits := make(chan struct{}, 2)
	permits <- struct{}{}
	resp := &http.Response{Body: io.NopCloser(strings.NewReader("hello"))}
	body.Watch(resp, body.EndFunc(func(err error) {
		<-permits
		fmt.Println("ended:", err)
	}))

	fmt.Println("held:", len(permits))
	text, err := io.ReadAll(resp.Body)
	fmt.Println(string(text), err)
	_ = resp.Body.Close() // does not end it twice
	fmt.Println("held:", len(permits))
	// Output:
	// held: 1
	// ended: EOF
	// hello <nil>
	// held: 0
}

// An answer that was cut short is found out before it is handed on, and can
// still be handed on.
func ExampleBuffer() {
	cut := io.MultiReader(strings.NewReader(`{"labelName": "bi`), broken{})
	resp := &http.Response{Body: io.NopCloser(cut)}
	fmt.Println(body.Buffer(resp, 64<<10))

	text, err := io.ReadAll(resp.Body)
	fmt.Println(string(text), err)
	// Output:
	// unexpected EOF
	// {"labelName": "bi unexpected EOF
}

// broken is the end of a body that came too early.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

package nyckelsim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

// A test or a program sets an account up in Go and calls it over HTTP.
func ExampleNew() {
	sim := nyckelsim.New(nyckelsim.Config{})
	function := sim.AddFunction("support-tickets")
	err := sim.Import(function, []nyckelsim.Sample{
		{Text: "Where is my parcel?", Label: "delivery"},
		{Text: "The parcel has not arrived", Label: "delivery"},
		{Text: "I want my money back", Label: "refund"},
		{Text: "Please refund this order", Label: "refund"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(sim)
	defer server.Close()

	var token struct {
		AccessToken string `json:"access_token"`
	}
	resp, err := http.PostForm(server.URL+"/connect/token", url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {"sim-client"},
		"client_secret": {"sim-secret"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&token); err != nil {
		fmt.Println(err)
		return
	}

	req, err := http.NewRequest("POST", server.URL+"/v1/functions/support-tickets/invoke",
		strings.NewReader(`{"data": "has my parcel arrived yet?"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+token.AccessToken)
	resp, err = http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	var answer struct{ LabelName string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Status, answer.LabelName)
	// Output: 200 OK delivery
}

// On a port of its own, a simulator can be down as a machine is.
func ExampleStart() {
	sim := nyckelsim.New(nyckelsim.Config{})
	instance, err := nyckelsim.Start("127.0.0.1:0", sim)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer instance.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func() {
		resp, err := client.Get(instance.URL() + "/v1/functions")
		if errors.Is(err, syscall.ECONNREFUSED) {
			fmt.Println("connection refused")
			return
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	}

	ask()
	if err := sim.SetFaults(nyckelsim.Faults{Refuse: true}); err != nil {
		fmt.Println(err)
	}
	ask()
	if err := sim.SetFaults(nyckelsim.Faults{}); err != nil {
		fmt.Println(err)
	}
	ask()
	// Output:
	// 401 Unauthorized
	// connection refused
	// 401 Unauthorized
}

// An outage by schedule: a brown-out, then nothing answers, then all is well.
func ExampleRun() {
	sim := nyckelsim.New(nyckelsim.Config{})
	phases := []nyckelsim.Phase{
		{Duration: 20 * time.Millisecond, Faults: nyckelsim.Faults{Name: "brown-out", Unavailable: 0.3, LatencyFactor: 4}},
		{Duration: 10 * time.Millisecond, Faults: nyckelsim.Faults{Name: "black-out", Refuse: true}},
	}
	err := nyckelsim.Run(context.Background(), sim, phases, func(i int, p nyckelsim.Phase) {
		fmt.Println(i, p.Faults.Name, p.Duration)
	})
	fmt.Println(err, sim.Faults() == nyckelsim.Faults{})
	// Output:
	// 0 brown-out 20ms
	// 1 black-out 10ms
	// <nil> true
}

// A test steers a simulator that runs elsewhere, by an Admin beside it.
func ExampleNewAdmin() {
	sim := nyckelsim.New(nyckelsim.Config{})
	admin := nyckelsim.NewAdmin(sim)
	defer admin.Close()
	server := httptest.NewServer(admin)
	defer server.Close()

	req, err := http.NewRequest("PUT", server.URL+"/faults", strings.NewReader(`{"name": "brown-out", "unavailable": 0.3, "latency": "200ms"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(resp.Status, sim.Faults().Name, sim.Faults().Latency)
	// Output: 200 OK brown-out 200ms
}

// What one simulator has learned, another goes on with.
func ExampleServer_Dump() {
	sim := nyckelsim.New(nyckelsim.Config{Seed: 1})
	function := sim.AddFunction("tickets")
	err := sim.Import(function, []nyckelsim.Sample{
		{Text: "Where is my parcel?", Label: "delivery"},
		{Text: "Not arrived", Label: "delivery"},
		{Text: "Money back", Label: "refund"},
		{Text: "Please refund", Label: "refund"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	models := sim.Models(function)
	var document bytes.Buffer
	if err := sim.Dump(&document); err != nil {
		fmt.Println(err)
		return
	}
	other := nyckelsim.New(nyckelsim.Config{Seed: 1})
	if err := other.Load(&document); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(models), slices.Equal(models, other.Models(function)))
	// Output: 1 true
}

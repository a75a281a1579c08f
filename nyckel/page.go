package nyckel

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"strings"
)

// maxPages bounds a list, lest a service that goes round in circles be followed for
// ever.
const maxPages = 10_000

// list yields what a list has, page by page. A page's Link field leads to the next.
// Where pages have none, and byIndex is set, each is followed by the one at the next
// startIndex, until one is empty: a short one need not be the last, since how many
// items the service gives at once is its own affair.
func list[T any](ctx context.Context, c *Client, o order, what string, byIndex bool, id func(T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		linked, last := false, "" // last: the id of the first item of the page before
		been := map[string]bool{o.url: true}
		for range maxPages {
			got, err := carryOut(ctx, c, o, asJSON[[]T]("a list of "+what, "array"))
			if err != nil {
				yield(none, err)
				return
			}
			if len(got.value) > 0 {
				first := id(got.value[0])
				if !linked && first == last && first != "" { // startIndex was passed over
					return
				}
				last = first
			}
			for _, item := range got.value {
				if !yield(item, nil) {
					return
				}
			}
			target, ok := nextLink(strings.Join(got.header.Values("Link"), ", "))
			switch {
			case ok:
				linked = true
				o.url, err = follow(o.url, target, been)
			case linked || !byIndex || len(got.value) == 0:
				return
			default:
				o.url, err = nextIndex(o.url, len(got.value))
			}
			if err != nil {
				yield(none, fmt.Errorf("nyckel: %s: %w", o.what, err))
				return
			}
		}
		yield(none, fmt.Errorf("nyckel: %s: more than %d pages", o.what, maxPages))
	}
}

// follow resolves the target of a link. It must lead to the same host, which gets
// the token, and where the list has not been.
func follow(from, target string, been map[string]bool) (string, error) {
	base, err := url.Parse(from)
	if err != nil {
		return "", errors.New("the URL cannot be parsed")
	}
	next, err := base.Parse(target)
	switch {
	case err != nil:
		return "", errors.New("the link to the next page cannot be parsed")
	case next.Scheme != base.Scheme || next.Host != base.Host || next.User != nil:
		return "", errors.New("the link to the next page leads to another host")
	}
	next.Fragment = ""
	if been[next.String()] {
		return "", errors.New("the link to the next page leads to a page that was there before")
	}
	been[next.String()] = true
	return next.String(), nil
}

// nextIndex returns the URL of the page that begins n items later.
func nextIndex(from string, n int) (string, error) {
	u, err := url.Parse(from)
	if err != nil {
		return "", errors.New("the URL cannot be parsed")
	}
	query := u.Query()
	start, _ := strconv.Atoi(query.Get("startIndex")) // absent at first
	query.Set("startIndex", strconv.Itoa(start+n))
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// failed is a list that cannot be asked for.
func failed[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		yield(none, err)
	}
}

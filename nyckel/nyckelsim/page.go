package nyckelsim

import (
	"fmt"
	"net/http"
	"strconv"
)

// page returns the part of the list that the request asks for: from startIndex
// on, as many items as count says, or else batchSize, or else size. If more
// follow, a Link header leads to them by a path without a host.
func page[T any](w http.ResponseWriter, r *http.Request, list []T, size int) ([]T, error) {
	q := query{values: r.URL.Query()}
	from := q.count("startIndex", 0)
	size = q.count("count", q.count("batchSize", size))
	if q.err != nil {
		return nil, q.err
	}
	list = list[min(from, len(list)):]
	if size < len(list) {
		list = list[:size]
		if size > 0 { // else the next page would be this one
			q.values.Set("startIndex", strconv.Itoa(from+size))
			w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, r.URL.EscapedPath(), q.values.Encode()))
		}
	}
	return list, nil
}

// mapped returns what f makes of each item; never nil, so that an empty list is
// written as [].
func mapped[T, U any](list []T, f func(T) U) []U {
	made := make([]U, 0, len(list))
	for _, item := range list {
		made = append(made, f(item))
	}
	return made
}

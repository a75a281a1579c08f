package predictions

import (
	"fmt"
	"strings"
)

// A Dialect is a kind of SQL database: [SQLite] or [PostgreSQL].
type Dialect struct{ name string }

// The dialects.
var (
	SQLite     = Dialect{"sqlite"}
	PostgreSQL = Dialect{"postgres"}
)

// String returns "sqlite" or "postgres", as in the names of migrations.
func (d Dialect) String() string { return d.name }

// sql returns a query, written with $1, $2, …, with the dialect's parameters.
// SQLite takes $1 for a name, not for a number.
func (d Dialect) sql(query string) string {
	if d == SQLite {
		return strings.ReplaceAll(query, "$", "?")
	}
	return query
}

// bin returns the expression that cuts confidences into n bins, from 0.
func (d Dialect) bin(n int) string {
	scaled := fmt.Sprintf("p.confidence * %d", n)
	if d == SQLite {
		return fmt.Sprintf("MIN(CAST(%s AS INTEGER), %d)", scaled, n-1) // the cast cuts off
	}
	return fmt.Sprintf("LEAST(FLOOR(%s)::bigint, %d)", scaled, n-1)
}

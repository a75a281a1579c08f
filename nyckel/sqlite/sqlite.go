// Package sqlite opens SQLite databases for the prediction store and the queue.
package sqlite

import _ "modernc.org/sqlite" // the driver

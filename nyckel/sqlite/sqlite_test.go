package sqlite_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/predictions"
	"github.com/sparekey/sparekey/nyckel/predictions/predictionstest"
	"github.com/sparekey/sparekey/nyckel/sqlite"
)

func openDB(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

func TestOpenSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd name?#%41.db")
	db := openDB(t, path)
	want := map[string]string{"journal_mode": "wal", "synchronous": "2", "busy_timeout": "10000", "foreign_keys": "1", "secure_delete": "1"}
	for pragma, value := range want {
		var got string
		require.NoError(t, db.QueryRow("PRAGMA "+pragma).Scan(&got))
		assert.Equal(t, value, got, pragma)
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "predictions are nobody else's business")
}

// A link to a file that is not there yet is one to a new file, with all that is
// promised of it.
func TestOpenLinkToNewFile(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, "data"), 0o700))
	for _, target := range []string{filepath.Join("data", "real.db"), filepath.Join(folder, "data", "other.db")} {
		link := filepath.Join(folder, filepath.Base(target))
		require.NoError(t, os.Symlink(target, link))
		openDB(t, link)
		info, err := os.Stat(filepath.Join(folder, "data", filepath.Base(target)))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "predictions are nobody else's business")
	}

	nowhere := filepath.Join(folder, "nowhere.db")
	require.NoError(t, os.Symlink(filepath.Join("none", "x.db"), nowhere))
	_, err := sqlite.Open(t.Context(), nowhere, sqlite.Options{})
	require.ErrorIs(t, err, os.ErrNotExist)
	circle := filepath.Join(folder, "circle.db")
	require.NoError(t, os.Symlink("circle.db", circle))
	_, err = sqlite.Open(t.Context(), circle, sqlite.Options{})
	require.ErrorContains(t, err, "too many levels of symbolic links")
}

func TestOpenRefuses(t *testing.T) {
	folder := t.TempDir()
	text := filepath.Join(folder, "letter.txt")
	require.NoError(t, os.WriteFile(text, []byte("Dear Sir or Madam, this is no database."), 0o600))
	short := filepath.Join(folder, "short.db")
	require.NoError(t, os.WriteFile(short, []byte("SQLite"), 0o600))
	sealed := filepath.Join(folder, "sealed.db")
	db, err := sqlite.Open(t.Context(), sealed, sqlite.Options{})
	require.NoError(t, err)
	require.NoError(t, db.Close())
	require.NoError(t, os.Chmod(sealed, 0o400))

	tests := []struct {
		name, path string
		want       error
		wantText   string
	}{
		{"a text", text, sqlite.ErrNoDatabase, "no SQLite database"},
		{"a file that is too short", short, sqlite.ErrNoDatabase, "no SQLite database"},
		{"a read-only file", sealed, sqlite.ErrReadOnly, "read-only"},
		{"a folder", folder, nil, "it is a folder"},
		{"a missing folder", filepath.Join(folder, "none", "x.db"), os.ErrNotExist, "no such file"},
		{"a file in the place of a folder", filepath.Join(text, "x.db"), nil, "is no"},
		{"no file", "", nil, "needs a file"},
		{"memory", ":memory:", nil, "needs a file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sqlite.Open(t.Context(), tt.path, sqlite.Options{})
			require.ErrorContains(t, err, "sqlite: open "+tt.path)
			if tt.wantText != "is no" {
				require.ErrorContains(t, err, tt.wantText)
			}
			if tt.want != nil {
				require.ErrorIs(t, err, tt.want)
			}
		})
	}
	content, err := os.ReadFile(text)
	require.NoError(t, err)
	assert.Equal(t, "Dear Sir or Madam, this is no database.", string(content), "it is left alone")
}

// Who opens a file while another makes it a database waits, as SQLite itself does
// not when the other is about to change how it keeps its journal.
func TestOpenWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	other, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)") // to end beside one that looks
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, other.Close()) })
	conn, err := other.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	for _, step := range []string{"CREATE TABLE t (a)", "BEGIN", "SELECT * FROM t", "INSERT INTO t VALUES (1)"} {
		_, err := conn.ExecContext(t.Context(), step)
		require.NoError(t, err)
	}
	_, err = sqlite.Open(t.Context(), path, sqlite.Options{BusyTimeout: time.Millisecond})
	require.ErrorContains(t, err, "database is locked")
	ended := make(chan error, 1)
	time.AfterFunc(50*time.Millisecond, func() {
		_, err := conn.ExecContext(context.Background(), "COMMIT")
		ended <- err
	})
	openDB(t, path)
	require.NoError(t, <-ended)
}

func openStore(t testing.TB, db *sql.DB, options predictions.Options) *predictions.Store {
	t.Helper()
	store, err := predictions.Open(context.Background(), db, predictions.SQLite, options)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, store.Close()) })
	return store
}

// A store closes the database if it is told to, and only then.
func TestStoreOwnsItsDatabase(t *testing.T) {
	for _, own := range []bool{false, true} {
		db := openDB(t, filepath.Join(t.TempDir(), "store.db"))
		store, err := predictions.Open(t.Context(), db, predictions.SQLite, predictions.Options{OwnDB: own})
		require.NoError(t, err)
		require.NoError(t, store.Close())
		assert.Equal(t, own, db.PingContext(t.Context()) != nil, "the database is closed with the store")
	}
}

func TestStoreSurvivesReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	store := openStore(t, openDB(t, path), predictions.Options{})
	require.NoError(t, store.Record(t.Context(), predictions.Prediction{ID: "a", Function: "f", Label: "x"}))
	again := openStore(t, openDB(t, path), predictions.Options{})
	has, err := again.Has(t.Context(), "a", "b")
	require.NoError(t, err)
	assert.Equal(t, map[string]bool{"a": true}, has)
}

// There are more ids than a statement may have parameters.
func TestHasOfMany(t *testing.T) {
	store := openStore(t, openDB(t, filepath.Join(t.TempDir(), "store.db")), predictions.Options{})
	ids := make([]string, 33_000)
	for i := range ids {
		ids[i] = strconv.Itoa(i)
	}
	require.NoError(t, store.Record(t.Context(), predictions.Prediction{ID: "32999", Function: "f", Label: "x"}))
	has, err := store.Has(t.Context(), ids...)
	require.NoError(t, err)
	assert.Equal(t, map[string]bool{"32999": true}, has)
}

func TestSuite(t *testing.T) {
	predictionstest.Run(t, func(t *testing.T) *predictions.Store {
		return openStore(t, openDB(t, filepath.Join(t.TempDir(), "store.db")), predictions.Options{})
	})
}

// Package sqlite opens SQLite databases for the prediction store and the queue,
// so that what is committed survives a crash and a power cut. It brings a driver
// in pure Go, and is a module of its own so that only who uses it has it.
//
//	db, err := sqlite.Open(ctx, "predictions.db", sqlite.Options{})
//	…
//	store, err := predictions.Open(ctx, db, predictions.SQLite, predictions.Options{OwnDB: true})
package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	driver "modernc.org/sqlite"
)

// oldest is the first version of SQLite that cannot corrupt a database in WAL mode
// when two connections reset the log at once (fixed in 3.51.3).
var oldest = [3]int{3, 51, 3}

// The errors that Open's error may match.
var (
	ErrNoDatabase = errors.New("the file is no SQLite database")
	ErrReadOnly   = errors.New("the file is read-only")
	ErrNetwork    = errors.New("the file is on a network file system, whose locks SQLite cannot trust")
)

// Options configure [Open]. The zero value is ready to use.
type Options struct {
	// BusyTimeout is how long a writer waits for that of another process. Zero
	// means 10 s.
	BusyTimeout time.Duration

	// Conns is how many connections there are at most, each with about 2 MiB of
	// cache. One of them can write, all can read. Zero means 8.
	Conns int
}

// Open opens a database, and creates the file, for its owner only, if there is
// none. The folder must exist. Next to the file, SQLite keeps two more, whose
// names end in -wal and -shm and which belong to it.
//
// Every commit is synced to the disk (on macOS through the disk's own cache too).
// Transactions begin as writers. What is deleted is overwritten with zeros.
//
// Several processes on one machine may open the same file. A network file system
// is refused where the operating system tells.
//
// The caller closes the database when those who use it are closed; a store does so
// with predictions.Options.OwnDB.
func Open(ctx context.Context, path string, options Options) (*sql.DB, error) {
	db, err := open(ctx, path, options)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", path, err)
	}
	return db, nil
}

func open(ctx context.Context, path string, options Options) (*sql.DB, error) {
	if path == "" || strings.Contains(path, ":memory:") {
		return nil, errors.New("a database needs a file")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := checkFile(path); err != nil {
		return nil, err
	}
	busy := cmp.Or(options.BusyTimeout, 10*time.Second)
	db, err := sql.Open("sqlite", dsn(path, busy))
	if err != nil {
		return nil, err
	}
	conns := cmp.Or(options.Conns, 8)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	if err := checkPatiently(ctx, db, busy); err != nil {
		return nil, errors.Join(explain(err), db.Close())
	}
	return db, nil
}

// checkFile says plainly what SQLite would say in riddles, and sees to it that the
// file is its owner's only. It opens no file that is there: closing it would take
// away the locks of every connection that this process has to it.
func checkFile(path string) error {
	folder := filepath.Dir(path)
	if info, err := os.Stat(folder); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is no folder", folder)
	}
	for _, place := range [...]string{folder, path} { // which may be a link to elsewhere
		if name := networkFileSystem(place); name != "" {
			return fmt.Errorf("%w (%s)", ErrNetwork, name)
		}
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return errors.New("it is a folder")
	case err == nil && info.Mode().Perm()&0o222 == 0: // even if we are root, who may all the same
		return ErrReadOnly
	case err == nil:
		return explain(writable(path))
	case !errors.Is(err, fs.ErrNotExist):
		return explain(err)
	}
	if target, err := os.Readlink(path); err == nil {
		return checkTarget(folder, target)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) { // by now
		return nil
	}
	if err != nil {
		return explain(err)
	}
	return file.Close()
}

// checkTarget checks the file that a link in a folder leads to and that is not there
// yet. SQLite would create it for everybody to read.
func checkTarget(folder, target string) error {
	if filepath.IsAbs(target) {
		return checkFile(target)
	}
	folder, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return err
	}
	return checkFile(filepath.Join(folder, target))
}

// explain says of an error what it means for a database.
func explain(err error) error {
	const notADatabase, readOnly = 26, 8 // SQLITE_NOTADB and SQLITE_READONLY
	code := codeOf(err)
	switch {
	case code == notADatabase:
		return fmt.Errorf("%w: %w", ErrNoDatabase, err)
	case code == readOnly, errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	return err
}

// codeOf returns SQLite's code of an error, without the details, zero if it has none.
func codeOf(err error) int {
	if e, ok := errors.AsType[*driver.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

// dsn returns the name of the database for the driver. Its pragmas are set on
// every connection.
func dsn(path string, busy time.Duration) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // a drive's letter
		path = "/" + path
	}
	pragmas := []string{
		"busy_timeout(" + strconv.FormatInt(busy.Milliseconds(), 10) + ")",
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"foreign_keys(1)",
		"secure_delete(1)",
		"journal_size_limit(67108864)", // a log that a long reader has made grow shrinks again
	}
	if runtime.GOOS == "darwin" {
		pragmas = append(pragmas, "fullfsync(1)", "checkpoint_fullfsync(1)")
	}
	query := url.Values{"_txlock": {"immediate"}, "_pragma": pragmas}
	return (&url.URL{Scheme: "file", Path: path, OmitHost: true, RawQuery: query.Encode()}).String()
}

// checkPatiently waits for who makes the file a database at the same time: at that
// point SQLite itself does not wait.
func checkPatiently(ctx context.Context, db *sql.DB, busy time.Duration) error {
	const isBusy = 5 // SQLITE_BUSY
	for begin := time.Now(); ; {
		err := check(ctx, db)
		if codeOf(err) != isBusy || time.Since(begin) >= busy {
			return err
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// check makes the first connection.
func check(ctx context.Context, db *sql.DB) error {
	var version, mode string
	if err := db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		return err
	}
	if err := checkVersion(version); err != nil {
		return err
	}
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("SQLite cannot keep a write-ahead log here: its journal mode is %q", mode)
	}
	return nil
}

func checkVersion(version string) error {
	var v [3]int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &v[0], &v[1], &v[2]); err != nil {
		return fmt.Errorf("SQLite %q: %w", version, err)
	}
	for i := range v {
		if v[i] != oldest[i] {
			if v[i] < oldest[i] {
				return fmt.Errorf("SQLite %s may corrupt a database; %d.%d.%d is the first that does not", version, oldest[0], oldest[1], oldest[2])
			}
			break
		}
	}
	return nil
}

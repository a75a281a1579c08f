-- +goose Up
-- Times are microseconds since 1970.

CREATE TABLE sparekey_predictions (
	seq         INTEGER PRIMARY KEY AUTOINCREMENT,
	id          TEXT NOT NULL UNIQUE,
	function    TEXT NOT NULL CHECK (function <> ''),
	model       TEXT NOT NULL,            -- '' if none was pinned
	sample_id   TEXT NOT NULL,            -- '' until known
	external_id TEXT,                     -- null if there is none
	input_hash  BLOB,
	label       TEXT NOT NULL,
	label_id    TEXT NOT NULL,
	confidence  REAL NOT NULL CHECK (confidence BETWEEN 0 AND 1),
	labels      TEXT,                     -- JSON, null unless kept
	source      TEXT NOT NULL CHECK (source <> ''),
	similarity  REAL NOT NULL,
	rule        TEXT NOT NULL,
	verdict     TEXT NOT NULL,
	attempts    INTEGER NOT NULL,
	latency     INTEGER NOT NULL,         -- microseconds
	trace_id    TEXT NOT NULL,
	at          INTEGER NOT NULL
) STRICT;

CREATE INDEX sparekey_predictions_at ON sparekey_predictions (function, at, seq);
-- With what the analyses read, so that they need not visit the table.
CREATE INDEX sparekey_predictions_live ON sparekey_predictions (function, model, at, confidence, label, external_id) WHERE source = 'live';
CREATE INDEX sparekey_predictions_external ON sparekey_predictions (external_id, function) WHERE external_id IS NOT NULL;

-- What was predicted stays; only the sample may become known, once.
CREATE TRIGGER sparekey_predictions_update
BEFORE UPDATE OF seq, id, function, model, external_id, input_hash, label, label_id, confidence, labels,
	source, similarity, rule, verdict, attempts, latency, trace_id, at ON sparekey_predictions
BEGIN
	SELECT RAISE(ABORT, 'sparekey_predictions is append-only');
END;

CREATE TRIGGER sparekey_predictions_sample
BEFORE UPDATE OF sample_id ON sparekey_predictions WHEN OLD.sample_id <> ''
BEGIN
	SELECT RAISE(ABORT, 'sparekey_predictions is append-only: its sample_id is known already');
END;

-- A row here, gone again before the end of its transaction, permits to delete.
CREATE TABLE sparekey_erasing (external_id TEXT NOT NULL) STRICT;

CREATE TRIGGER sparekey_predictions_delete
BEFORE DELETE ON sparekey_predictions WHEN NOT EXISTS (SELECT 1 FROM sparekey_erasing)
BEGIN
	SELECT RAISE(ABORT, 'sparekey_predictions is append-only');
END;

-- The inputs that are kept, and for how long is for the program to say.
CREATE TABLE sparekey_inputs (
	prediction INTEGER PRIMARY KEY REFERENCES sparekey_predictions (seq),
	at         INTEGER NOT NULL,
	input      BLOB NOT NULL
) STRICT;

CREATE INDEX sparekey_inputs_at ON sparekey_inputs (at);

-- The truth of a sample: of all predictions of the function with that external
-- id or, if they have none, that id. A correction keeps the row that it replaces.
CREATE TABLE sparekey_truths (
	seq          INTEGER PRIMARY KEY AUTOINCREMENT,
	function     TEXT NOT NULL CHECK (function <> ''),
	sample       TEXT NOT NULL CHECK (sample <> ''),
	label        TEXT NOT NULL CHECK (label <> ''),
	by_whom      TEXT NOT NULL,
	at           INTEGER NOT NULL,
	current      INTEGER NOT NULL CHECK (current IN (0, 1)),
	submit       TEXT NOT NULL CHECK (submit IN ('open', 'done', 'later', 'ambiguous', 'refused', 'skipped')),
	submitted_at INTEGER,
	submit_error TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX sparekey_truths_current ON sparekey_truths (sample, function) WHERE current = 1;
CREATE INDEX sparekey_truths_submit ON sparekey_truths (submit, seq) WHERE current = 1;

-- +goose Up
-- Times are microseconds since 1970.

CREATE TABLE sparekey_predictions (
	seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id          TEXT NOT NULL UNIQUE,
	function    TEXT NOT NULL CHECK (function <> ''),
	model       TEXT NOT NULL,            -- '' if none was pinned
	sample_id   TEXT NOT NULL,            -- '' until known
	external_id TEXT,                     -- null if there is none
	input_hash  BYTEA,
	label       TEXT NOT NULL,
	label_id    TEXT NOT NULL,
	confidence  DOUBLE PRECISION NOT NULL CHECK (confidence BETWEEN 0 AND 1),
	labels      TEXT,                     -- JSON, null unless kept
	source      TEXT NOT NULL CHECK (source <> ''),
	similarity  DOUBLE PRECISION NOT NULL,
	rule        TEXT NOT NULL,
	verdict     TEXT NOT NULL,
	attempts    BIGINT NOT NULL,
	latency     BIGINT NOT NULL,          -- microseconds
	trace_id    TEXT NOT NULL,
	at          BIGINT NOT NULL
);

CREATE INDEX sparekey_predictions_at ON sparekey_predictions (function, at, seq);
-- With what the analyses read, so that they need not visit the table.
CREATE INDEX sparekey_predictions_live ON sparekey_predictions (function, model, at, confidence, label, external_id) WHERE source = 'live';
CREATE INDEX sparekey_predictions_external ON sparekey_predictions (external_id, function) WHERE external_id IS NOT NULL;

-- What was predicted stays; only the sample may become known, once.
CREATE FUNCTION sparekey_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'sparekey_predictions is append-only';
END $$;

CREATE TRIGGER sparekey_predictions_update
BEFORE UPDATE OF seq, id, function, model, external_id, input_hash, label, label_id, confidence, labels,
	source, similarity, rule, verdict, attempts, latency, trace_id, at ON sparekey_predictions
FOR EACH ROW EXECUTE FUNCTION sparekey_append_only();

CREATE TRIGGER sparekey_predictions_sample
BEFORE UPDATE OF sample_id ON sparekey_predictions
FOR EACH ROW WHEN (OLD.sample_id <> '') EXECUTE FUNCTION sparekey_append_only();

-- A row here, gone again before the end of its transaction, permits to delete.
CREATE TABLE sparekey_erasing (external_id TEXT NOT NULL);

CREATE FUNCTION sparekey_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NOT EXISTS (SELECT 1 FROM sparekey_erasing) THEN
		RAISE EXCEPTION 'sparekey_predictions is append-only';
	END IF;
	RETURN OLD;
END $$;

CREATE TRIGGER sparekey_predictions_delete
BEFORE DELETE ON sparekey_predictions
FOR EACH ROW EXECUTE FUNCTION sparekey_keep();

-- The inputs that are kept, and for how long is for the program to say.
CREATE TABLE sparekey_inputs (
	prediction BIGINT PRIMARY KEY REFERENCES sparekey_predictions (seq),
	at         BIGINT NOT NULL,
	input      BYTEA NOT NULL
);

CREATE INDEX sparekey_inputs_at ON sparekey_inputs (at);

-- The truth of a sample: of all predictions of the function with that external
-- id or, if they have none, that id. A correction keeps the row that it replaces.
CREATE TABLE sparekey_truths (
	seq          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	function     TEXT NOT NULL CHECK (function <> ''),
	sample       TEXT NOT NULL CHECK (sample <> ''),
	label        TEXT NOT NULL CHECK (label <> ''),
	by_whom      TEXT NOT NULL,
	at           BIGINT NOT NULL,
	current      SMALLINT NOT NULL CHECK (current IN (0, 1)),
	submit       TEXT NOT NULL CHECK (submit IN ('open', 'done', 'later', 'ambiguous', 'refused', 'skipped')),
	submitted_at BIGINT,
	submit_error TEXT NOT NULL
);

CREATE UNIQUE INDEX sparekey_truths_current ON sparekey_truths (sample, function) WHERE current = 1;
CREATE INDEX sparekey_truths_submit ON sparekey_truths (submit, seq) WHERE current = 1;

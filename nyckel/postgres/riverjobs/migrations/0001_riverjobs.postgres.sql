-- +goose Up
-- What a job is, for as long as it waits, runs or is dead. Where it stands is in
-- River's table, whose rows have only the id.
CREATE TABLE sparekey_river_inputs (
	id          TEXT PRIMARY KEY,
	job         BIGINT,                   -- River's id
	queue       TEXT NOT NULL,
	kind        TEXT NOT NULL,
	payload     BYTEA NOT NULL,
	bytes       INTEGER NOT NULL GENERATED ALWAYS AS (octet_length(payload)) STORED,
	enqueued_at TIMESTAMPTZ NOT NULL
);

-- What a queue holds is read from this index alone.
CREATE INDEX sparekey_river_inputs_queue ON sparekey_river_inputs (queue) INCLUDE (bytes);

-- Rows come and go by the thousand: clean up sooner than the usual fifth of the table.
ALTER TABLE sparekey_river_inputs SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

-- Every queue that ever held a job, with River's name for it.
CREATE TABLE sparekey_river_queues (
	name  TEXT PRIMARY KEY,
	river TEXT NOT NULL UNIQUE
);

-- +goose Up
-- Jobs. Times are microseconds since 1970.
CREATE TABLE sparekey_jobs (
	seq          INTEGER PRIMARY KEY,
	id           TEXT    NOT NULL UNIQUE,
	queue        TEXT    NOT NULL,
	kind         TEXT    NOT NULL,
	priority     INTEGER NOT NULL,
	state        INTEGER NOT NULL CHECK (state IN (1, 2, 3)), -- waiting, running, dead
	run_at       INTEGER NOT NULL,           -- when it is due
	attempt      INTEGER NOT NULL DEFAULT 0, -- how often it was taken
	max_attempts INTEGER NOT NULL,
	bytes        INTEGER NOT NULL,           -- of the payload
	enqueued_at  INTEGER NOT NULL,
	changed_at   INTEGER NOT NULL,           -- when it came into its state
	lease_until  INTEGER NOT NULL DEFAULT 0, -- of a running job
	token        INTEGER NOT NULL DEFAULT 0, -- who holds it; 0 is nobody
	last_error   TEXT    NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX sparekey_jobs_waiting ON sparekey_jobs (queue, priority, run_at) WHERE state = 1;
CREATE INDEX sparekey_jobs_running ON sparekey_jobs (lease_until) WHERE state = 2;
CREATE INDEX sparekey_jobs_dead ON sparekey_jobs (changed_at) WHERE state = 3;

-- Payloads stand apart, so that a job changes hands without moving its payload.
CREATE TABLE sparekey_job_payloads (
	seq     INTEGER PRIMARY KEY,
	payload BLOB NOT NULL
) STRICT;

-- What each queue holds, so that a bound is exact and costs the same at any depth.
CREATE TABLE sparekey_job_counts (
	queue TEXT    PRIMARY KEY,
	jobs  INTEGER NOT NULL, -- waiting and running
	bytes INTEGER NOT NULL, -- of those
	dead  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER sparekey_jobs_added AFTER INSERT ON sparekey_jobs BEGIN
	INSERT INTO sparekey_job_counts VALUES (new.queue, new.state < 3, (new.state < 3) * new.bytes, new.state = 3)
	ON CONFLICT (queue) DO UPDATE SET
		jobs = jobs + excluded.jobs, bytes = bytes + excluded.bytes, dead = dead + excluded.dead;
END;

CREATE TRIGGER sparekey_jobs_removed AFTER DELETE ON sparekey_jobs BEGIN
	DELETE FROM sparekey_job_payloads WHERE seq = old.seq;
	UPDATE sparekey_job_counts SET
		jobs  = jobs - (old.state < 3),
		bytes = bytes - (old.state < 3) * old.bytes,
		dead  = dead - (old.state = 3)
	WHERE queue = old.queue;
END;

CREATE TRIGGER sparekey_jobs_changed AFTER UPDATE OF state ON sparekey_jobs WHEN (old.state = 3) <> (new.state = 3) BEGIN
	UPDATE sparekey_job_counts SET
		jobs  = jobs + (new.state < 3) - (old.state < 3),
		bytes = bytes + ((new.state < 3) - (old.state < 3)) * old.bytes,
		dead  = dead + (new.state = 3) - (old.state = 3)
	WHERE queue = old.queue;
END;

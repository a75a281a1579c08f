-- +goose Up
-- How far a move has come: everything of a table up to this number is here.
CREATE TABLE sparekey_moves (
	source   TEXT NOT NULL, -- which database it is from
	part     TEXT NOT NULL, -- which table
	position BIGINT NOT NULL,
	PRIMARY KEY (source, part)
);

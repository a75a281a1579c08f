// Package config reads settings from YAML files, strictly: what it does not
// know, or what is of another type than the setting, is an error that says
// where it stands, and all errors are reported at once.
//
// The keys are the names of the Go fields in lower case with underscores:
// MaxConfidence is max_confidence. [Decode] also remembers where each value
// stands, so that what is wrong with a setting for other reasons can be reported
// with its line and column, too: see [Source.Error].
//
// Anchors and aliases work; merge keys ("<<") and tags such as !env do not. A file may
// have 1 MiB and 50,000 values, counting those behind an alias each time it is used, in
// at most 32 levels; the keys of its maps have up to 256 characters, and the JSON documents
// in it may come to 8 MiB, as may what all its references stand for. It is UTF-8. A number
// that begins with a 0, which is octal for some, is none, and neither is one that is not
// finite.
package config

// Package itest holds the tests of the queue and the store that need real files,
// databases and processes: it has the drivers that the light packages must not
// know, and is never released.
//
//	go test ./...                      short forms, less than half a minute
//	go test ./... -long [-seed 7]      100,000 jobs and 20 kills, an outage of 15 s,
//	                                   500,000 jobs waiting, power cuts, the usual lease
//	go test -run '^$' -bench .         speed
//
// The tests with processes that are killed run once per backend: see backend in
// backend_test.go, which is all that another engine has to provide. The full disk
// needs the right to mount a file system in memory, the power cuts the right to mount
// an image of ext4, and PostgreSQL's whole cluster stands on that (both root's, on
// Linux); they are skipped without it.
package itest

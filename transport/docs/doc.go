// Package docs holds the pages about the layers, and a test that compiles the
// code in them. It is a module of its own for the libraries that the recipes name.
package docs

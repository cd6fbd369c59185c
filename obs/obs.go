// Package obs is the third system: what shows, explains and pages. Its configuration is in the folders beside this file; what is
// generated of it is made here.
package obs

//go:generate go run ./cmd/obsgen

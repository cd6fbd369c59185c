package run

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/mpac-cloud/mpac/pgw/internal/recon/source"
)

// hashed hashes what is read through it.
type hashed struct {
	in  io.Reader
	sha hash.Hash
}

func newHashed(in io.Reader) *hashed {
	h := sha256.New()
	return &hashed{in: io.TeeReader(in, h), sha: h}
}

// Read is io.Reader's.
func (h *hashed) Read(p []byte) (int, error) { return h.in.Read(p) }

func (h *hashed) sum() string { return hex.EncodeToString(h.sha.Sum(nil)) }

// keep puts a copy of the file, as received, into the archive and returns where it is. Without an archive the file stays where it
// was found.
func (m *Matcher) keep(f source.File, sum string, s *session) (location string, err error) {
	if m.Config.Archive == "" {
		return f.Location, nil
	}
	dir := filepath.Join(m.Config.Archive, s.scope.Provider, s.scope.ContractID, s.date)
	target := filepath.Join(dir, sum+"-"+f.Name)
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("archive: %w", err)
	}
	in, err := f.Open()
	if err != nil {
		return "", fmt.Errorf("archive: %w", err)
	}
	defer in.Close()
	// A half-written copy is never under the final name.
	out, err := os.CreateTemp(dir, ".receiving-*")
	if err != nil {
		return "", fmt.Errorf("archive: %w", err)
	}
	defer os.Remove(out.Name())
	copied := newHashed(in)
	if _, err := io.Copy(out, copied); err != nil {
		return "", fmt.Errorf("archive: %w", err)
	}
	if err := out.Close(); err != nil {
		return "", fmt.Errorf("archive: %w", err)
	}
	if copied.sum() != sum {
		return "", fmt.Errorf("%s changed while it was read", f.Name)
	}
	return target, os.Rename(out.Name(), target)
}

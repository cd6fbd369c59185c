// Package source finds settlement files where providers, or those who fetch from them, put them.
package source

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/recon/format"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/failpoint"
)

// File is a settlement file that was found.
type File struct {
	Format     *format.Format
	Info       format.Name
	Name       string
	Location   string
	Bytes      int64
	ReceivedAt time.Time // when it was written where it is
}

// Open reads it from the beginning.
func (f File) Open() (io.ReadCloser, error) {
	failpoint.Hit("recon.fetch.before")
	file, err := os.Open(f.Location)
	failpoint.Hit("recon.fetch.after")
	return file, err
}

// Found is what a place holds for a day.
type Found struct {
	// Files are one per provider and contract: the one whose window reaches furthest.
	Files []File
	// Notes are for people: files that were left aside, and why.
	Notes []string
}

// Folder looks in a directory (or at a single file) for the files of a day (yyyy-mm-dd), of one provider or of all (""). now
// dates what it finds: the host's clock and the platform's may differ on one machine.
func Folder(path, day, provider string, now clock.Clock) (Found, error) {
	entries, dir, err := list(path)
	if err != nil {
		return Found{}, err
	}
	var found Found
	best := map[string]File{}
	for _, e := range entries {
		f, ok, err := read(dir, e, provider, now)
		if err != nil {
			found.Notes = append(found.Notes, err.Error())
			continue
		}
		if !ok || f.Info.Day != day {
			continue
		}
		key := f.Format.Provider + "\x00" + f.Info.Contract
		other, taken := best[key]
		switch {
		case !taken:
			best[key] = f
		case newer(f, other):
			best[key] = f
			found.Notes = append(found.Notes, fmt.Sprintf("%s: left aside, %s covers more", other.Name, f.Name))
		default:
			found.Notes = append(found.Notes, fmt.Sprintf("%s: left aside, %s covers more", f.Name, other.Name))
		}
	}
	for _, f := range best {
		found.Files = append(found.Files, f)
	}
	slices.SortFunc(found.Files, func(a, b File) int {
		return cmp.Or(cmp.Compare(a.Format.Provider, b.Format.Provider), cmp.Compare(a.Info.Contract, b.Info.Contract))
	})
	return found, nil
}

func list(path string) (entries []fs.DirEntry, dir string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", fmt.Errorf("source: %w", err)
	}
	if !info.IsDir() {
		return []fs.DirEntry{fs.FileInfoToDirEntry(info)}, filepath.Dir(path), nil
	}
	entries, err = os.ReadDir(path)
	if err != nil {
		return nil, "", fmt.Errorf("source: %w", err)
	}
	return entries, path, nil
}

func read(dir string, e fs.DirEntry, provider string, now clock.Clock) (File, bool, error) {
	if e.IsDir() {
		return File{}, false, nil
	}
	for _, f := range format.All {
		name, ok, err := f.ParseName(e.Name())
		if !ok || (provider != "" && provider != f.Provider) {
			continue
		}
		if err != nil {
			return File{}, false, err
		}
		info, err := e.Info()
		if err != nil {
			return File{}, false, fmt.Errorf("%s: %w", e.Name(), err)
		}
		age := time.Since(info.ModTime())
		return File{
			Format: f, Info: name, Name: e.Name(), Location: filepath.Join(dir, e.Name()), Bytes: info.Size(),
			ReceivedAt: now().Add(-age).Truncate(time.Second),
		}, true, nil
	}
	return File{}, false, nil
}

// newer prefers the file whose window ends later, then the one that came later.
func newer(a, b File) bool {
	if !a.Info.To.Equal(b.Info.To) {
		return a.Info.To.After(b.Info.To)
	}
	return a.ReceivedAt.After(b.ReceivedAt)
}

package settlement

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/mpac-cloud/mpac/sandbox/internal/books"
)

// Writer writes settlement files into a folder.
type Writer struct {
	Books *books.Books
	Dir   string
}

// Request asks for a file of one merchant.
type Request struct {
	Merchant      books.Merchant
	Layout        string // instant (default) or capture_later
	Date          time.Time
	Until         time.Time // cuts the day at this second; zero: the whole day
	Discrepancies []Ask
}

// File is a file that was written.
type File struct {
	Path          string `json:"path" doc:"Where it lies"`
	Name          string `json:"name"`
	Lines         int    `json:"lines" doc:"Without the header"`
	SHA256        string `json:"sha256"`
	MerchantID    string `json:"merchant_id"`
	From          string `json:"from" doc:"First second, Tokyo"`
	To            string `json:"to" doc:"Last second, Tokyo"`
	Totals        Sums   `json:"totals" doc:"What its readable lines add up to"`
	Discrepancies []Hit  `json:"discrepancies" doc:"What was done, in the order asked"`
}

// ErrUnknownLayout says that there is no such layout.
var ErrUnknownLayout = errors.New("no such layout")

// Write makes the file from the books as they are now and puts it in place; one of the same name is replaced.
func (w *Writer) Write(r Request) (File, error) {
	if r.Layout == "" {
		r.Layout = "instant"
	}
	l := layouts[r.Layout]
	if l == nil {
		return File{}, ErrUnknownLayout
	}
	orders, err := w.Books.Orders()
	if err != nil {
		return File{}, err
	}
	moved, err := w.Books.MovedLines()
	if err != nil {
		return File{}, err
	}
	window := Day(r.Date, r.Until)
	d := draft{lines: collect(orders, r.Merchant, l, window, moved), touched: map[string]bool{}, window: window}
	for _, o := range orders {
		if o.MerchantID == r.Merchant.ID && o.Status == books.Created && o.CaptureLater == l.captureLater && window.holds(o.CreatedAt) {
			d.unpaid = append(d.unpaid, o)
		}
	}
	hits := make([]Hit, 0, len(r.Discrepancies))
	for _, ask := range r.Discrepancies {
		hit, err := d.apply(ask)
		if err != nil {
			return File{}, err
		}
		hits = append(hits, hit)
	}
	return w.finish(r, l, d, hits)
}

func (w *Writer) finish(r Request, l *layout, d draft, hits []Hit) (File, error) {
	for _, late := range d.late {
		next := d.window.From.AddDate(0, 0, 1)
		if err := w.Books.MoveLine(late.name(), next); err != nil {
			return File{}, err
		}
	}
	content, err := l.render(r.Merchant, d.lines)
	if err != nil {
		return File{}, err
	}
	name := l.name(r.Merchant.ID, d.window)
	path, err := place(w.Dir, name, content)
	if err != nil {
		return File{}, err
	}
	hash := sha256.Sum256(content)
	return File{
		Path: path, Name: name, Lines: len(d.lines), SHA256: hex.EncodeToString(hash[:]), MerchantID: r.Merchant.ID,
		From: d.window.From.Format(time.RFC3339), To: d.window.To.In(books.Tokyo).Format(time.RFC3339), Totals: sum(d.lines), Discrepancies: hits,
	}, nil
}

// ErrNoFile says that no such file was written.
var ErrNoFile = errors.New("no such settlement file")

// Read gives a file's bytes.
func (w *Writer) Read(name string) ([]byte, error) {
	if !fileName.MatchString(name) {
		return nil, ErrNoFile
	}
	content, err := os.ReadFile(filepath.Join(w.Dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoFile
	}
	if err != nil {
		return nil, fmt.Errorf("settlement file: %w", err)
	}
	return content, nil
}

// Names lists the files written so far.
func (w *Writer) Names() ([]string, error) {
	entries, err := os.ReadDir(w.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("settlement folder: %w", err)
	}
	names := []string{}
	for _, e := range entries {
		if fileName.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

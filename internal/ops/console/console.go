// Package console writes for people: colour where there is a terminal and nobody said NO_COLOR, plain text everywhere else.
package console

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
)

// Console is a place to write to, from several goroutines.
type Console struct {
	mu     sync.Mutex
	w      io.Writer
	colour bool
}

// New writes to w.
func New(w io.Writer) *Console {
	f, isFile := w.(*os.File)
	_, plain := os.LookupEnv("NO_COLOR")
	return &Console{w: w, colour: isFile && !plain && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))}
}

// Printf writes; a line at a time stays whole.
func (c *Console) Printf(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = fmt.Fprintf(c.w, format, args...) // nobody is left to tell
}

func (c *Console) paint(code, s string) string {
	if !c.colour || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Good is for what went well.
func (c *Console) Good(s string) string { return c.paint("32", s) }

// Bad is for what did not.
func (c *Console) Bad(s string) string { return c.paint("31;1", s) }

// Warn is for what deserves a look.
func (c *Console) Warn(s string) string { return c.paint("33", s) }

// Strong is for headings.
func (c *Console) Strong(s string) string { return c.paint("1", s) }

// Faint is for what is there to be found, not read.
func (c *Console) Faint(s string) string { return c.paint("2", s) }

// Table writes rows in columns as wide as their widest cell. Cells may be painted.
func (c *Console) Table(indent string, rows ...[]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], Width(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := indent
		for i, cell := range row {
			line += cell
			if i < len(row)-1 {
				line += strings.Repeat(" ", widths[i]-Width(cell)+2)
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	c.Printf("%s", b.String())
}

// Width is how many columns a text takes: paint takes none, a kanji two.
func Width(s string) int {
	for {
		begin := strings.Index(s, "\x1b[")
		if begin < 0 {
			return runewidth.StringWidth(s)
		}
		end := strings.IndexByte(s[begin:], 'm')
		if end < 0 {
			return runewidth.StringWidth(s)
		}
		s = s[:begin] + s[begin+end+1:]
	}
}

// Pad fills a text up to a width, at the right, or at the left for a negative one.
func Pad(s string, width int) string {
	if width < 0 {
		return strings.Repeat(" ", max(0, -width-Width(s))) + s
	}
	return s + strings.Repeat(" ", max(0, width-Width(s)))
}

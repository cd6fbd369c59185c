package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mpac-cloud/mpac/internal/ops/console"
)

// Step is one thing that happened.
type Step struct {
	Number  int            `json:"step"`
	Chapter string         `json:"chapter"`
	Who     string         `json:"who"`
	What    string         `json:"what"`
	Result  string         `json:"result"`
	Millis  int64          `json:"ms"`
	OK      bool           `json:"ok"`
	Problem string         `json:"problem,omitempty"`
	Facts   map[string]any `json:"facts,omitempty"` // ids and amounts, for programs
}

// Teller tells the story.
type Teller interface {
	Chapter(title string)
	Step(s Step)
	Paper(lines []string)
	End(took time.Duration, steps int, err error)
}

// story tells it to people.
type story struct{ c *console.Console }

// NewStory tells people.
func NewStory(c *console.Console) Teller { return story{c} }

// Chapter is a heading.
func (s story) Chapter(title string) { s.c.Printf("\n%s\n", s.c.Strong(title)) }

// Step is a line: who, what, and what came of it.
func (s story) Step(step Step) {
	mark, result := s.c.Good("✓"), step.Result
	if !step.OK {
		mark, result = s.c.Bad("✗"), s.c.Bad(step.Problem)
	}
	took := s.c.Faint(console.Pad(fmt.Sprintf("%d ms", step.Millis), -8))
	s.c.Printf(" %s %s %s %s %s\n", mark, took, console.Pad(step.Who, 12), console.Pad(step.What, 38), result)
}

// Paper is what the printer prints.
func (s story) Paper(lines []string) {
	width := 0
	for _, l := range lines {
		width = max(width, console.Width(l))
	}
	s.c.Printf("\n")
	for _, l := range lines {
		s.c.Printf("      %s %s %s\n", s.c.Faint("│"), console.Pad(l, width), s.c.Faint("│"))
	}
	s.c.Printf("\n")
}

// End says how it came out.
func (s story) End(took time.Duration, steps int, err error) {
	if err != nil {
		s.c.Printf("\n%s %v\n", s.c.Bad("The demo stopped:"), err)
		return
	}
	s.c.Printf("\n%s %d steps in %.1f s, every amount accounted for.\n", s.c.Good("Done."), steps, took.Seconds())
}

// lines tells it to programs: one JSON object a line.
type lines struct {
	e       *json.Encoder
	chapter string
}

// NewLines tells programs.
func NewLines(w io.Writer) Teller { return &lines{e: json.NewEncoder(w)} }

// Chapter is said by the steps in it.
func (l *lines) Chapter(title string) { l.chapter = title }

// Step is an object.
func (l *lines) Step(s Step) {
	s.Chapter = l.chapter
	_ = l.e.Encode(s) // nobody is left to tell
}

// Paper is an object.
func (l *lines) Paper(text []string) {
	_ = l.e.Encode(map[string]string{"paper": strings.Join(text, "\n")})
}

// End is the last object.
func (l *lines) End(took time.Duration, steps int, err error) {
	last := map[string]any{"done": err == nil, "steps": steps, "ms": took.Milliseconds()}
	if err != nil {
		last["problem"] = err.Error()
	}
	_ = l.e.Encode(last)
}

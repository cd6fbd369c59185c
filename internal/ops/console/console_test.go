package console

import (
	"bytes"
	"testing"
)

func TestTable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &Console{w: &out, colour: true}
	c.Table("  ", []string{c.Strong("NAME"), "PORT"}, []string{"日本", "1"}, []string{"x", ""})
	want := "  \x1b[1mNAME\x1b[0m  PORT\n  日本  1\n  x\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

func TestNoColourWithoutATerminal(t *testing.T) {
	t.Parallel()
	c := New(&bytes.Buffer{})
	if got := c.Good("a") + c.Bad("b") + c.Faint("c"); got != "abc" {
		t.Errorf("%q", got)
	}
}

func TestPad(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		s     string
		width int
		want  string
	}{{"ab", 4, "ab  "}, {"ab", -4, "  ab"}, {"日本", 5, "日本 "}, {"long", 2, "long"}} {
		if got := Pad(tc.s, tc.width); got != tc.want {
			t.Errorf("Pad(%q, %d) = %q", tc.s, tc.width, got)
		}
	}
}

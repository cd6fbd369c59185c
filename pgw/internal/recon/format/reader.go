package format

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
)

// Limits that keep memory bounded whatever the file holds.
const (
	maxLine   = 256 << 10 // bytes of one line; a longer one is set aside
	maxSpread = 8         // lines that one record may spread over by quoted line ends
	maxWords  = 256       // decoded words that are remembered
)

// ErrNotThisFormat is the error of a file whose first row is neither a header nor a line of its format.
var ErrNotThisFormat = errors.New("not a file of this format")

// Record is a line that was read, or one that was set aside.
type Record struct {
	Line     Line
	Rejected *Rejection
}

// Tally counts what became of a file's lines. Parsed + Rejected = Lines, always.
type Tally struct {
	Lines    int // records after the header; blank lines are not counted
	Parsed   int
	Rejected int
}

// Reader reads one file.
type Reader struct {
	format   *Format
	contract string
	in       *bufio.Reader
	layout   *layout
	legacy   *encoding.Decoder // nil: UTF-8
	guess    bool              // the header was plain ASCII and says nothing about the encoding
	number   int               // of the last line taken
	ahead    []physical        // lines looked at and put back
	fields   [][]byte
	words    map[string]string
	tally    Tally
}

// physical is one line of the file as received, without its line end.
type physical struct {
	number int
	text   []byte
	long   bool
}

// NewReader reads r as a file of the contract; lines of another contract are set aside ("" takes any).
func (f *Format) NewReader(r io.Reader, contract string) *Reader {
	return &Reader{format: f, contract: contract, in: bufio.NewReaderSize(r, 64<<10), words: map[string]string{}}
}

// Tally is what has been counted so far.
func (r *Reader) Tally() Tally { return r.tally }

// Next returns the next record, or io.EOF. Any other error is of the file as a whole: it could not be read, or it is not of
// this format.
func (r *Reader) Next() (Record, error) {
	if r.layout == nil {
		if err := r.start(); err != nil {
			return Record{}, err
		}
	}
	for {
		p, err := r.line()
		if err != nil {
			return Record{}, err
		}
		if !p.long && len(bytes.TrimSpace(p.text)) == 0 {
			continue
		}
		r.tally.Lines++
		line, reason, err := r.record(p)
		if err != nil {
			return Record{}, err
		}
		if reason != "" {
			r.tally.Rejected++
			sum := sha256.Sum256(p.text)
			return Record{Rejected: &Rejection{
				Number: p.number, Reason: reason, Reference: line.Reference, SHA256: hex.EncodeToString(sum[:]),
			}}, nil
		}
		r.tally.Parsed++
		return Record{Line: line}, nil
	}
}

// start reads the byte order mark and the header, and decides encoding and layout.
func (r *Reader) start() error {
	if mark, _ := r.in.Peek(3); bytes.Equal(mark, []byte("\xEF\xBB\xBF")) {
		_, _ = r.in.Discard(3)
	} else {
		r.legacy = r.format.Legacy.NewDecoder()
	}
	for {
		p, err := r.line()
		if errors.Is(err, io.EOF) {
			// An empty file is a day without a payment.
			r.layout = &layout{}
			return io.EOF
		}
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(p.text)) == 0 {
			continue
		}
		return r.begin(p)
	}
}

func (r *Reader) begin(first physical) error {
	if r.legacy != nil && utf8.Valid(first.text) {
		r.guess = isASCII(first.text)
		if !r.guess {
			r.legacy = nil
		}
	}
	fields, open, _ := split(first.text, nil, -1)
	row := make([]string, len(fields))
	for i, f := range fields {
		row[i], _ = r.decode(f)
	}
	found, err := r.format.fromHeader(row)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotThisFormat, err)
	}
	if found != nil {
		r.layout = found
		return nil
	}
	// No header: the first row must be a line itself, in the declared order.
	found = r.format.declared(min(len(row), len(r.format.Columns)))
	if found == nil || open || first.long || !r.looksLikeLine(found, row) {
		return fmt.Errorf("%w: %s: the first row is neither its header nor one of its lines", ErrNotThisFormat, r.format.Name)
	}
	r.layout = found
	r.ahead = append(r.ahead, physical{number: first.number, text: bytes.Clone(first.text)})
	return nil
}

func (r *Reader) looksLikeLine(l *layout, row []string) bool {
	_, known := r.format.Statuses[strings.TrimSpace(row[l.at[FieldStatus]])]
	return known
}

// line takes the next line, without its end. Its text is good until the next call.
func (r *Reader) line() (physical, error) {
	if len(r.ahead) > 0 {
		p := r.ahead[0]
		r.ahead = r.ahead[1:]
		return p, nil
	}
	whole, err := r.in.ReadSlice('\n')
	long := false
	if errors.Is(err, bufio.ErrBufferFull) {
		whole = bytes.Clone(whole)
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		var text []byte
		text, err = r.in.ReadSlice('\n')
		if long = long || len(whole)+len(text) > maxLine; !long {
			whole = append(whole, text...)
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return physical{}, fmt.Errorf("line %d: %w", r.number+1, err)
	}
	if len(whole) == 0 {
		return physical{}, io.EOF
	}
	r.number++
	whole = bytes.TrimSuffix(whole, []byte("\n"))
	whole = bytes.TrimSuffix(whole, []byte("\r"))
	return physical{number: r.number, text: whole, long: long}, nil
}

// record reads the line p; reason is why it cannot, and line then has at most a reference. A quoted field may hold line ends: the lines that follow are taken in
// when together they make a record that can be read, and left alone when not, so that one stray quote costs one line.
func (r *Reader) record(p physical) (line Line, reason string, err error) {
	if p.long {
		return Line{}, fmt.Sprintf("longer than %d KiB", maxLine>>10), nil
	}
	var open bool
	r.fields, open, reason = split(p.text, r.fields[:0], r.layout.rest)
	if !open {
		if reason == "" {
			line, reason = r.parse(p.number, r.fields)
		}
		return line, reason, nil
	}
	text := bytes.Clone(p.text)
	var taken []physical
	for len(taken) < maxSpread {
		next, err := r.line()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Line{}, "", err
		}
		next.text = bytes.Clone(next.text)
		taken = append(taken, next)
		if text = append(append(text, '\n'), next.text...); next.long || len(text) > maxLine {
			break
		}
		fields, open, bad := split(text, nil, r.layout.rest)
		if open {
			continue
		}
		if bad == "" {
			if line, bad = r.parse(p.number, fields); bad == "" {
				return line, "", nil
			}
		}
		break
	}
	r.ahead = append(taken, r.ahead...)
	return Line{}, "a quoted field is not closed", nil
}

// split cuts a record at its commas (RFC 4180). A quote inside an unquoted field is taken as it is. open says that a quoted
// field is not closed; reason that the quoting makes no sense. No byte of Shift_JIS or UTF-8 beyond the first of a character
// equals a comma or a quote, so the text can be cut before it is decoded. Column rest (-1: none), when it begins with '[', is
// taken to the end of the line.
func split(text []byte, fields [][]byte, rest int) (_ [][]byte, open bool, reason string) {
	for {
		if len(fields) == rest && len(text) > 0 && text[0] == '[' {
			return append(fields, text), false, ""
		}
		if len(text) == 0 || text[0] != '"' {
			comma := bytes.IndexByte(text, ',')
			if comma < 0 {
				return append(fields, text), false, ""
			}
			fields = append(fields, text[:comma])
			text = text[comma+1:]
			continue
		}
		field, after, closed := unquote(text[1:])
		if !closed {
			return fields, true, ""
		}
		fields = append(fields, field)
		if len(after) == 0 {
			return fields, false, ""
		}
		if after[0] != ',' {
			return fields, false, "text follows a closing quote"
		}
		text = after[1:]
	}
}

// unquote reads up to the closing quote; two quotes stand for one.
func unquote(text []byte) (field, rest []byte, closed bool) {
	end := bytes.IndexByte(text, '"')
	if end < 0 {
		return nil, nil, false
	}
	if end+1 == len(text) || text[end+1] != '"' {
		return text[:end], text[end+1:], true
	}
	var buf []byte
	for {
		buf = append(buf, text[:end]...)
		text = text[end+1:]
		if len(text) == 0 || text[0] != '"' {
			return buf, text, true
		}
		buf = append(buf, '"')
		text = text[1:]
		if end = bytes.IndexByte(text, '"'); end < 0 {
			return nil, nil, false
		}
	}
}

// decode turns a field's bytes into text; ok is false when they are not of the file's encoding.
func (r *Reader) decode(field []byte) (text string, ok bool) {
	if isASCII(field) {
		return string(field), true
	}
	if r.legacy == nil || (r.guess && utf8.Valid(field)) {
		return string(field), utf8.Valid(field)
	}
	// The few words that files are full of (statuses) are decoded once.
	if text, ok = r.words[string(field)]; ok {
		return text, true
	}
	decoded, err := r.legacy.Bytes(field)
	if err != nil || bytes.ContainsRune(decoded, utf8.RuneError) {
		return "", false
	}
	if len(r.words) < maxWords {
		r.words[string(field)] = string(decoded)
	}
	return string(decoded), true
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

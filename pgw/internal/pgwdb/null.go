package pgwdb

import "time"

// Text is a column's text, "" for NULL.
func Text(column *string) string {
	if column == nil {
		return ""
	}
	return *column
}

// NullText is a column of the text, NULL for "".
func NullText(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Time is a column's instant in UTC, zero for NULL.
func Time(column *time.Time) time.Time {
	if column == nil {
		return time.Time{}
	}
	return column.UTC()
}

// NullTime is a column of the instant, NULL for zero.
func NullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

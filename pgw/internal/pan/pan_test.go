package pan_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/pgw/internal/pan"
)

func TestCardNumbersAreFound(t *testing.T) {
	t.Parallel()
	// The schemes' published test numbers.
	for _, text := range []string{
		"4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "paid with 4111111111111111.", "no:4111111111111111;",
		"5555555555554444", "2223003122003222", "378282246310005", "3782 822463 10005", "3530111333300000", "30569309025904",
		"6011111111111117", "６０１１１１１１１１１１１１１７", "4111　1111　1111　1111", "table 7 4111111111111111", "(4222222222222)",
		"カード4111111111111111です",
	} {
		if !pan.Find(text) {
			t.Errorf("not found in %q", text)
		}
	}
}

func TestWhatIsNoCardNumberIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "order 42", "4111111111111112", "tel 090-1234-5678", "1234567890123456", "9111111111111111", "order_4111111111111111",
		"pi_01JD4111111111111111", "41111111111111110000000", "2026-11-21 09:30:00", "a4111111111111111", "4111111111111111b",
		"0000000000000000", "4111  1111 1111 1111",
	} {
		if pan.Find(text) {
			t.Errorf("found in %q", text)
		}
	}
}

func TestAnyValidNumberIsFoundInAnyText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		body := "4" + rapid.StringMatching(`[0-9]{11,17}`).Draw(t, "digits")
		number := body + checkDigit(body)
		separator := rapid.SampledFrom([]string{"", " ", "-"}).Draw(t, "separator")
		var grouped []string
		for rest := number; rest != ""; {
			n := min(4, len(rest))
			grouped, rest = append(grouped, rest[:n]), rest[n:]
		}
		around := rapid.SampledFrom([]string{"", ".", "「", "/", "\n", "メモ"})
		text := around.Draw(t, "before") + strings.Join(grouped, separator) + around.Draw(t, "after")
		if !pan.Find(text) {
			t.Fatalf("not found in %q", text)
		}
	})
}

func checkDigit(body string) string {
	for d := byte('0'); d <= '9'; d++ {
		sum, number := 0, body+string(d)
		for i := range len(number) {
			v := int(number[len(number)-1-i] - '0')
			if i%2 == 1 {
				v *= 2
			}
			sum += v/10 + v%10
		}
		if sum%10 == 0 {
			return string(d)
		}
	}
	return ""
}

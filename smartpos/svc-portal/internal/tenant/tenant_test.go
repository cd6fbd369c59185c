package tenant

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestRegistrationNumbers(t *testing.T) {
	t.Parallel()
	// The first is the National Tax Agency's own corporate number, which it publishes.
	for number, good := range map[string]bool{
		"T7000012050002": true, "T9701040109876": true, "": true,
		"7000012050002": false, "T8000012050002": false, "T700001205000": false, "T70000120500021": false, "T700001205000X": false, "t7000012050002": false,
	} {
		if err := checkRegistrationNumber(number); (err == nil) != good {
			t.Errorf("%q: %v", number, err)
		}
	}
}

// Of the ten first digits exactly one fits the other twelve (0 never does).
func TestOneCheckDigitFits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.Int64Range(0, 999_999_999_999).Draw(t, "base")
		fits := 0
		for digit := range 10 {
			if checkRegistrationNumber(fmt.Sprintf("T%d%012d", digit, base)) == nil {
				fits++
			}
		}
		if fits != 1 {
			t.Fatalf("%d check digits fit %012d", fits, base)
		}
	})
}

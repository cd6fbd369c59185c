package id_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/platform/id"
)

func instants() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMilli(rapid.Int64Range(1.5e12, 4e12).Draw(t, "ms")).UTC()
	})
}

// What partitions and lists by time rest on: an id lies between the floors around its instant.
func TestIDsCarryTheirTimeInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := instants().Draw(t, "at")
		u := id.NewULID("pi", at)
		if got, err := id.ParseULID("pi", u); err != nil || !got.Equal(at) {
			t.Fatalf("%s: %v, %v", u, got, err)
		}
		if u < id.ULIDFloor("pi", at) || u >= id.ULIDFloor("pi", at.Add(time.Millisecond)) {
			t.Fatalf("%s lies outside its millisecond", u)
		}
		v := id.NewUUID(at)
		if got, err := id.UUIDTime(v); err != nil || !got.Equal(at) {
			t.Fatalf("%s: %v, %v", v, got, err)
		}
		if v.String() < id.UUIDFloor(at).String() || v.String() >= id.UUIDFloor(at.Add(time.Millisecond)).String() {
			t.Fatalf("%s lies outside its millisecond", v)
		}
		if v.Variant().String() != "RFC4122" {
			t.Fatalf("%s: variant %s", v, v.Variant())
		}
	})
}

func TestParseULIDRefuses(t *testing.T) {
	t.Parallel()
	good := id.NewULID("pi", time.Now())
	for _, s := range []string{"", "pi_", "pi_x", strings.ToLower(good), "pa" + good[2:], good + "0", good[:len(good)-1] + "U"} {
		if _, err := id.ParseULID("pi", s); !errors.Is(err, id.ErrMalformed) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

package person

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/platform/problem"
)

func TestAddress(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"hanako@example.com":         "hanako@example.com",
		"\tHanako@Example.COM\n":     "hanako@example.com",
		"h.an_ako-2@mail.example.jp": "h.an_ako-2@mail.example.jp",
	} {
		if got, err := Address(given); err != nil || got != want {
			t.Errorf("%q is %q, %v", given, got, err)
		}
	}
	for _, wrong := range []string{
		"", "hanako", "A. Sato", "@example.com", "hanako@", "hanako@localhost",
		"hanako+2@example.com", "hanako+@example.com", "hanako@example.com.", "hanako.@example.com", ".hanako@example.com", "ha..nako@example.com",
		"hanako@example..com", "hanako@@example.com", "hanako@example.com,taro@example.com", "hanako%2@example.com", "hanako @example.com",
		"hаnako@example.com", // a Cyrillic a
		strings.Repeat("x", 200) + "@example.com",
	} {
		if got, err := Address(wrong); !problem.Validation.Is(err) {
			t.Errorf("%q is taken for %q, %v", wrong, got, err)
		}
	}
}

// However an address is written, one person is one.
func TestOneAddressHasOneSpelling(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		written := rapid.StringMatching(`[a-z0-9]{1,8}(\.[a-z]{1,8})?@[a-z]{1,8}\.example`).Draw(t, "address")
		space := rapid.StringMatching(`[ \t]{0,2}`).Draw(t, "space")
		other := space + strings.ToUpper(written[:1]) + written[1:] + space
		tag := rapid.StringMatching(`\+[a-z0-9]{0,4}`).Draw(t, "tag")
		if got, err := Address(other); err != nil || got != written {
			t.Fatalf("%q is %q, %v", other, got, err)
		}
		at := strings.IndexByte(written, '@')
		for _, alias := range []string{written + ".", written[:at] + tag + written[at:], written[:at] + "." + written[at:]} {
			if got, err := Address(alias); err == nil {
				t.Fatalf("%q is %q", alias, got)
			}
		}
	})
}

func TestFlags(t *testing.T) {
	t.Setenv("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/0123456789abcdef")
	var got Person
	cmd := &cobra.Command{Use: "approve", SilenceErrors: true, SilenceUsage: true}
	who := Flags(cmd)
	cmd.RunE = func(*cobra.Command, []string) (err error) {
		got, err = who().Check()
		return err
	}
	cmd.SetArgs([]string{"--by", "Hanako@example.com", "--name", " Hanako Example "})
	if err := cmd.Execute(); err != nil || got.ID != "hanako@example.com" || got.Name != "Hanako Example" || !strings.HasSuffix(got.Origin, " (ECS 0123456789abcdef)") {
		t.Errorf("%+v, %v", got, err)
	}
	cmd.SetArgs([]string{"--by", "hanako@example.com", "--name", " "})
	if err := cmd.Execute(); !problem.Validation.Is(err) {
		t.Errorf("no name: %v", err)
	}
}

package device

import "testing"

// What is logged of a refused client is copied into commands: only names that we make may stand there.
func TestOursAreTheClientsThatAreMade(t *testing.T) {
	t.Parallel()
	for range 100 {
		if client := newClientID(); !ours.MatchString(client) {
			t.Fatalf("%q is not known as ours", client)
		}
	}
	for _, stranger := range []string{"", "'; drop table terminals;--", "term_", "term_' or 'a'='a", newClientID() + "\n", newClientID() + ";"} {
		if ours.MatchString(stranger) {
			t.Errorf("%q passes for ours", stranger)
		}
	}
}

package audit

import (
	"testing"
)

func TestSecretsAreMasked(t *testing.T) {
	t.Parallel()
	got, err := mask(map[string]any{
		"name": "Example", "password": "hunter2", "nested": map[string]any{"api_secret": "s", "list": []any{map[string]any{"refresh_token": "t"}}},
		"credentials": map[string]any{"api_key": "k"}, "credentials_set_at": "2026-11-01", "public_key": map[string]any{"x": "1"}, "totp_secret": nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"credentials":"[masked]","credentials_set_at":"2026-11-01","name":"Example",` +
		`"nested":{"api_secret":"[masked]","list":[{"refresh_token":"[masked]"}]},"password":"[masked]","public_key":{"x":"1"},"totp_secret":null}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, err := mask(nil); got != nil || err != nil {
		t.Errorf("nothing: %s, %v", got, err)
	}
	if _, err := mask(func() {}); err == nil {
		t.Error("what cannot be told is told")
	}
}

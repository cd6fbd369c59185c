package hmacsig_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/platform/hmacsig"
)

// The published vectors: secret sk_test_xyz789, timestamp 1702123456.
const (
	vectorSecret = "sk_test_xyz789"
	vectorTime   = 1702123456
)

var vectors = []struct{ name, method, path, body, signature string }{
	{"post", "POST", "/v1/payment_intents", `{"amount": 1000}`, "85657de354ad2bb70dd9b852509bcc9ce63840eec0a14ae5645e16bff2b57222"},
	{"get", "GET", "/v1/payment_intents", "", "f2f9cfdaaea7e7d5d42cf6fcba9d865e63d3cb3460999c360963a6366ec69f1e"},
}

func TestPublishedVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		m := hmacsig.Message{Method: v.method, Path: v.path, Body: []byte(v.body)}
		header := hmacsig.Sign(m, "pk_test_abc123", hmacsig.Key(vectorSecret), time.Unix(vectorTime, 0))
		if want := "HMAC-SHA256 pk_test_abc123:1702123456:" + v.signature; header != want {
			t.Errorf("%s: got %s, want %s", v.name, header, want)
		}
		c, err := hmacsig.Parse(header)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Verify(m, hmacsig.Key(vectorSecret), time.Unix(vectorTime, 0)); err != nil {
			t.Errorf("%s: %v", v.name, err)
		}
	}
}

func TestRawSecretAsKeyIsRefused(t *testing.T) {
	t.Parallel()
	v := vectors[0]
	m := hmacsig.Message{Method: v.method, Path: v.path, Body: []byte(v.body)}
	at := time.Unix(vectorTime, 0)
	header := hmacsig.Sign(m, "pk_test_abc123", []byte(vectorSecret), at)
	if !strings.HasSuffix(header, ":37e94b8aec95ab37494a209c3b929792e652debf12699bdffcbd7748c669d25f") {
		t.Fatalf("the raw-secret variant is not the published one: %s", header)
	}
	c, err := hmacsig.Parse(header)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(m, hmacsig.Key(vectorSecret), at); !errors.Is(err, hmacsig.ErrMismatch) {
		t.Errorf("got %v, want ErrMismatch", err)
	}
}

func TestTimestampWindow(t *testing.T) {
	t.Parallel()
	m := hmacsig.Message{Method: "GET", Path: "/"}
	key, signed := hmacsig.Key("s"), time.Unix(vectorTime, 0)
	c, err := hmacsig.Parse(hmacsig.Sign(m, "pk", key, signed))
	if err != nil {
		t.Fatal(err)
	}
	for offset, want := range map[time.Duration]error{
		0: nil, 300 * time.Second: nil, -300 * time.Second: nil,
		301 * time.Second: hmacsig.ErrStale, -301 * time.Second: hmacsig.ErrStale,
	} {
		if err := c.Verify(m, key, signed.Add(offset)); !errors.Is(err, want) {
			t.Errorf("%s away: got %v, want %v", offset, err, want)
		}
	}
}

func TestForm2CoversWhatForm1DoesNot(t *testing.T) {
	t.Parallel()
	key, now := hmacsig.Key("s"), time.Unix(vectorTime, 0)
	signed := hmacsig.Message{Method: "POST", Path: "/v1/x", RawQuery: "b=2&a=1", IdempotencyKey: "k1", Body: []byte("{}")}
	c, err := hmacsig.Parse(hmacsig.Sign2(signed, "pk_1", key, now))
	if err != nil {
		t.Fatal(err)
	}
	reordered := signed
	reordered.RawQuery = "a=1&b=2"
	for name, change := range map[string]func(m *hmacsig.Message, c *hmacsig.Credential){
		"query":  func(m *hmacsig.Message, _ *hmacsig.Credential) { m.RawQuery = "a=1&b=3" },
		"key":    func(m *hmacsig.Message, _ *hmacsig.Credential) { m.IdempotencyKey = "k2" },
		"nonce":  func(_ *hmacsig.Message, c *hmacsig.Credential) { c.Nonce = "other" },
		"body":   func(m *hmacsig.Message, _ *hmacsig.Credential) { m.Body = []byte("{ }") },
		"path":   func(m *hmacsig.Message, _ *hmacsig.Credential) { m.Path = "/v1/y" },
		"method": func(m *hmacsig.Message, _ *hmacsig.Credential) { m.Method = "PUT" },
		"form":   func(_ *hmacsig.Message, c *hmacsig.Credential) { c.Form = hmacsig.Form1 },
	} {
		m, cc := signed, c
		change(&m, &cc)
		if err := cc.Verify(m, key, now); !errors.Is(err, hmacsig.ErrMismatch) {
			t.Errorf("changed %s: got %v, want ErrMismatch", name, err)
		}
	}
	if err := c.Verify(reordered, key, now); err != nil {
		t.Errorf("a reordered query is the same query: %v", err)
	}
}

func TestMessageOfTakesThePathAsSent(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/v1/a%2Fb?x=%20", nil)
	m := hmacsig.MessageOf(r, nil)
	if m.Path != "/v1/a%2Fb" || m.RawQuery != "x=%20" {
		t.Errorf("got %q ? %q", m.Path, m.RawQuery)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("HMAC-SHA256 pk_test_1:1702123456:85657de354ad2bb70dd9b852509bcc9ce63840eec0a14ae5645e16bff2b57222")
	f.Add("HMAC-SHA256-2 pk:1:n:85657de354ad2bb70dd9b852509bcc9ce63840eec0a14ae5645e16bff2b57222")
	f.Add("HMAC-SHA256 ::")
	f.Fuzz(func(t *testing.T, header string) {
		c, err := hmacsig.Parse(header)
		if err != nil {
			return
		}
		if c.APIKey == "" || len(c.Signature) != 64 || c.Timestamp < 0 || (c.Form == hmacsig.Form2) == (c.Nonce == "") {
			t.Errorf("%q parsed as %+v", header, c)
		}
		if c.Verify(hmacsig.Message{Method: "GET", Path: "/"}, []byte("k"), time.Unix(c.Timestamp, 0)) == nil {
			t.Errorf("%q verified by chance", header)
		}
	})
}

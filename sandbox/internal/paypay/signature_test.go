package paypay

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The vectors that PayPay publishes; of the first the body is not published in full, so its hash is taken as given.
func TestPublishedSignatures(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, secret, message, want string }{
		{
			"post", "sample_secret", "/v2/codes\nPOST\nfedaa4\n1743138611\napplication/json\nT9wzkv1tUWIxzIHQUT7iDQ==",
			"C2a7jD7OjL1DXnZhSYQfRI2Oxfdh43htV7pG8cwgCy4=",
		},
		{
			"get", "sample_secret", "/v2/payments/TEST_merchantPaymentID\nGET\na360e2\n1743139337\nempty\nempty",
			"JbUZwAUKeQ+WDClEjkCGwYG/juFR+Dd5RK5AfL0gK9w=",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := mac(c.secret, c.message); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

type vector struct {
	method, path, contentType, body, nonce, hash, mac string
}

// Vectors computed by hand from the documents: key k_test_1, secret s_test_1, epoch 1760000000.
var vectors = map[string]vector{
	"post": {"POST", "/v2/codes", "application/json", `{"a":1}`, "n0nce001", "V2JK2tb0qFf+FUHdRzxwaw==", "OQA9McRGOiT8PqNQm4x9XWd4s53nQG+QVAOl+oVutos="},
	"post, the content type's every byte counts": {
		"POST", "/v2/codes", "application/json;charset=UTF-8;", `{"a":1}`, "n0nce001", "3SRgd//QYdQzrIx4G1lgHw==", "pC+cn+3ApphGQxtA3UhzdeDguNU5EVwuc704i9I8f+w=",
	},
	"get":    {"GET", "/v2/codes/payments/ORDER-1", "", "", "n0nce002", "empty", "xRL+tEXAUYLiE3nCBw82FwNSk93/3VaXpKHf88nHz1U="},
	"delete": {"DELETE", "/v2/codes/04-abc", "", "", "n0nce003", "empty", "ljeHlFFzrZ8N9OhKXRw4jP93ylXPioS8Uaq7nYzSybs="},
}

const vectorEpoch = 1_760_000_000

func (v vector) header() string {
	return "hmac OPA-Auth:" + strings.Join([]string{"k_test_1", v.mac, v.nonce, "1760000000", v.hash}, ":")
}

func (v vector) signed() signed {
	return signed{method: v.method, path: v.path, contentType: v.contentType, body: []byte(v.body)}
}

func TestSignaturesOfWholeRequests(t *testing.T) {
	t.Parallel()
	for name, v := range vectors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := parseAuthorization(v.header())
			if err != nil {
				t.Fatal(err)
			}
			if err := a.verify(v.signed(), "s_test_1", time.Unix(vectorEpoch, 0)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSpoiledSignaturesAreRefused(t *testing.T) {
	t.Parallel()
	now := time.Unix(vectorEpoch, 0)
	cases := map[string]struct {
		spoil  func(a *authorization, s *signed)
		secret string
		at     time.Time
		want   error
	}{
		"other body":         {func(_ *authorization, s *signed) { s.body = []byte(`{"a":2}`) }, "s_test_1", now, errBodyHash},
		"no body":            {func(_ *authorization, s *signed) { s.body = nil }, "s_test_1", now, errBodyHash},
		"other content type": {func(_ *authorization, s *signed) { s.contentType = "text/plain" }, "s_test_1", now, errBodyHash},
		"other path":         {func(_ *authorization, s *signed) { s.path = "/v2/refunds" }, "s_test_1", now, errMAC},
		"other method":       {func(_ *authorization, s *signed) { s.method = "DELETE" }, "s_test_1", now, errMAC},
		"other nonce":        {func(a *authorization, _ *signed) { a.nonce = "n0nce009" }, "s_test_1", now, errMAC},
		"other secret":       {func(*authorization, *signed) {}, "s_test_2", now, errMAC},
		"no nonce":           {func(a *authorization, _ *signed) { a.nonce = "" }, "s_test_1", now, errNoSignature},
		"epoch no number":    {func(a *authorization, _ *signed) { a.epoch = "soon" }, "s_test_1", now, errNoSignature},
		"two minutes late":   {func(*authorization, *signed) {}, "s_test_1", now.Add(2 * time.Minute), errSkew},
		"two minutes early":  {func(*authorization, *signed) {}, "s_test_1", now.Add(-2 * time.Minute), errSkew},
		"within two minutes": {func(*authorization, *signed) {}, "s_test_1", now.Add(2*time.Minute - time.Second), nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := vectors["post"]
			a, err := parseAuthorization(v.header())
			if err != nil {
				t.Fatal(err)
			}
			s := v.signed()
			c.spoil(&a, &s)
			if err := a.verify(s, c.secret, c.at); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestHeaderForms(t *testing.T) {
	t.Parallel()
	for _, header := range []string{
		"", "hmac OPA:k:m:n:1:h", "Basic k:m:n:1:h", "hmac OPA-Auth:k:m:n:1", "hmac OPA-Auth:k:m:n:1:h:x", "HMAC-SHA256 k:1:s",
	} {
		if _, err := parseAuthorization(header); !errors.Is(err, errNoSignature) {
			t.Errorf("%q was taken", header)
		}
	}
}

// One changed byte of the body is always found.
func TestAnyChangedByteIsFound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "body")
		s := signed{method: "POST", path: "/v2/codes", contentType: "application/json", body: body}
		hash := bodyHash(s.contentType, body)
		a := authorization{
			nonce: "n", epoch: "1760000000", bodyHash: hash,
			mac: mac("secret", strings.Join([]string{s.path, s.method, "n", "1760000000", s.contentType, hash}, "\n")),
		}
		if err := a.verify(s, "secret", time.Unix(vectorEpoch, 0)); err != nil {
			t.Fatal(err)
		}
		s.body = append([]byte{}, body...)
		s.body[rapid.IntRange(0, len(body)-1).Draw(t, "at")] ^= 1
		if a.verify(s, "secret", time.Unix(vectorEpoch, 0)) == nil {
			t.Fatal("a changed body was taken")
		}
	})
}

func FuzzAuthorization(f *testing.F) {
	f.Add(vectors["post"].header())
	f.Add("hmac OPA-Auth:::::")
	f.Fuzz(func(t *testing.T, header string) {
		a, err := parseAuthorization(header)
		if err == nil && a.verify(signed{method: "GET", path: "/"}, "secret", time.Unix(vectorEpoch, 0)) == nil && a.bodyHash != empty {
			t.Fatalf("%q was taken", header)
		}
	})
}

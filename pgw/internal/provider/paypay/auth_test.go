package paypay

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestAuthorizationVectors(t *testing.T) {
	t.Parallel()
	jsonType, odd := "application/json", "application/json;charset=UTF-8;"
	for _, v := range []struct {
		name, key, secret, method, path, nonce string
		epoch                                  int64
		contentType, body                      string
		hash, mac                              string
	}{
		{"GET by PayPay's article", "sample_key", "sample_secret", "GET", "/v2/payments/TEST_merchantPaymentID", "a360e2", 1743139337, "", "", "empty", "JbUZwAUKeQ+WDClEjkCGwYG/juFR+Dd5RK5AfL0gK9w="},
		{"POST", "k_test_1", "s_test_1", "POST", "/v2/codes", "n0nce001", 1760000000, jsonType, `{"a":1}`, "V2JK2tb0qFf+FUHdRzxwaw==", "OQA9McRGOiT8PqNQm4x9XWd4s53nQG+QVAOl+oVutos="},
		{"the content type's bytes count", "k_test_1", "s_test_1", "POST", "/v2/codes", "n0nce001", 1760000000, odd, `{"a":1}`, "3SRgd//QYdQzrIx4G1lgHw==", "pC+cn+3ApphGQxtA3UhzdeDguNU5EVwuc704i9I8f+w="},
		{"GET", "k_test_1", "s_test_1", "GET", "/v2/codes/payments/ORDER-1", "n0nce002", 1760000000, "", "", "empty", "xRL+tEXAUYLiE3nCBw82FwNSk93/3VaXpKHf88nHz1U="},
		{"DELETE", "k_test_1", "s_test_1", "DELETE", "/v2/codes/04-abc", "n0nce003", 1760000000, "", "", "empty", "ljeHlFFzrZ8N9OhKXRw4jP93ylXPioS8Uaq7nYzSybs="},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			got := authorization(v.key, v.secret, v.method, v.path, v.nonce, time.Unix(v.epoch, 0), v.contentType, []byte(v.body))
			want := strings.Join([]string{"hmac OPA-Auth", v.key, v.mac, v.nonce, strconv.FormatInt(v.epoch, 10), v.hash}, ":")
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// The published vector of POST /v2/codes gives the hash of a body that is printed over several lines.
func TestPublishedVectorOfPost(t *testing.T) {
	t.Parallel()
	const hash = "T9wzkv1tUWIxzIHQUT7iDQ=="
	got := mac("sample_secret", "/v2/codes", "POST", "fedaa4", "1743138611", "application/json", hash)
	if want := "C2a7jD7OjL1DXnZhSYQfRI2Oxfdh43htV7pG8cwgCy4="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

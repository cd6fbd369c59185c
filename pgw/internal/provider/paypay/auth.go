package paypay

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // PayPay's protocol hashes bodies with MD5; the HMAC over it is SHA-256
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// empty stands for content type and body hash of a request without a body.
const empty = "empty"

// bodyHash is base64 of MD5 over the content type's bytes and then the body's.
func bodyHash(contentType string, body []byte) string {
	if len(body) == 0 {
		return empty
	}
	h := md5.New() //nolint:gosec // as above
	h.Write([]byte(contentType))
	h.Write(body)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// authorization is the value of the Authorization header by PayPay's "API Authorization": the path carries neither host nor
// query.
func authorization(key, secret, method, path, nonce string, at time.Time, contentType string, body []byte) string {
	if len(body) == 0 {
		contentType = empty
	}
	epoch, hash := strconv.FormatInt(at.Unix(), 10), bodyHash(contentType, body)
	return strings.Join([]string{"hmac OPA-Auth", key, mac(secret, path, method, nonce, epoch, contentType, hash), nonce, epoch, hash}, ":")
}

// mac signs the lines, which have no newline at their end.
func mac(secret string, lines ...string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(strings.Join(lines, "\n")))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

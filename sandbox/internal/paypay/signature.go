// Package paypay speaks PayPay's Open Payment API v2 on the wire, as its documents describe it: the signature, the envelope,
// the codes, and the traps. What happens to the money is for package books.
package paypay

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // PayPay's protocol
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// maxSkew is how far a request's time may lie from ours.
const maxSkew = 2 * time.Minute

// empty stands for the content type and the body's hash of a request without a body.
const empty = "empty"

// authorization is the header `hmac OPA-Auth:key:mac:nonce:epoch:hash`.
type authorization struct {
	apiKey, mac, nonce, epoch, bodyHash string
}

var (
	errNoSignature = errors.New("the Authorization header is not of the form hmac OPA-Auth:key:mac:nonce:epoch:hash")
	errSkew        = errors.New("epoch is two minutes or more from our clock")
	errBodyHash    = errors.New("the hash is not that of the content type and the body")
	errMAC         = errors.New("the signature does not fit")
)

func parseAuthorization(header string) (authorization, error) {
	const parts = 5
	rest, ok := strings.CutPrefix(header, "hmac OPA-Auth:")
	fields := strings.Split(rest, ":")
	if !ok || len(fields) != parts {
		return authorization{}, errNoSignature
	}
	return authorization{apiKey: fields[0], mac: fields[1], nonce: fields[2], epoch: fields[3], bodyHash: fields[4]}, nil
}

// signed is what a signature covers. Path is that of the URL, without host and query.
type signed struct {
	method, path, contentType string
	body                      []byte
}

// verify checks the signature against the secret at the time now.
func (a authorization) verify(s signed, secret string, now time.Time) error {
	epoch, err := strconv.ParseInt(a.epoch, 10, 64)
	if err != nil || a.nonce == "" {
		return errNoSignature
	}
	if skew := now.Sub(time.Unix(epoch, 0)); skew >= maxSkew || skew <= -maxSkew {
		return errSkew
	}
	contentType, hash := empty, empty
	if len(s.body) > 0 {
		contentType, hash = s.contentType, bodyHash(s.contentType, s.body)
	}
	if !hmac.Equal([]byte(hash), []byte(a.bodyHash)) {
		return errBodyHash
	}
	message := strings.Join([]string{s.path, s.method, a.nonce, a.epoch, contentType, hash}, "\n")
	if !hmac.Equal([]byte(mac(secret, message)), []byte(a.mac)) {
		return errMAC
	}
	return nil
}

func bodyHash(contentType string, body []byte) string {
	h := md5.New() //nolint:gosec // PayPay's protocol
	h.Write([]byte(contentType))
	h.Write(body)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func mac(secret, message string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(message))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

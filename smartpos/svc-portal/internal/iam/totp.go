package iam

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

// TOTP as every authenticator app does it (RFC 6238): SHA-1, six digits, 30 seconds. A code of the step before or after is
// taken too, for clocks that are apart.
const (
	totpPeriod = 30
	totpSkew   = 1
	totpBytes  = 20
	totpIssuer = "MPAC"
)

var base32Form = base32.StdEncoding.WithPadding(base32.NoPadding)

// newTOTPSecret makes a secret in the base32 form that authenticator apps take.
func newTOTPSecret() string {
	var raw [totpBytes]byte
	_, _ = rand.Read(raw[:]) // does not fail
	return base32Form.EncodeToString(raw[:])
}

// validTOTPSecret says whether a secret given from outside can be one: at least 128 bits in base32.
func validTOTPSecret(secret string) bool {
	raw, err := base32Form.DecodeString(strings.TrimRight(strings.ToUpper(secret), "="))
	return err == nil && len(raw) >= 16
}

// otpauthURL is what a QR code for the authenticator app holds.
func otpauthURL(email, secret string) string {
	query := url.Values{"secret": {secret}, "issuer": {totpIssuer}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"}}
	u := url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + totpIssuer + ":" + email, RawQuery: query.Encode()}
	return u.String()
}

// totpStep finds the time step whose code this is. Every candidate is compared, so that the time taken tells nothing.
func totpStep(secret, code string, at time.Time) (step int64, ok bool) {
	now := at.Unix() / totpPeriod
	for candidate := now - totpSkew; candidate <= now+totpSkew; candidate++ {
		want, err := totp.GenerateCodeCustom(secret, time.Unix(candidate*totpPeriod, 0), totp.ValidateOpts{
			Period: totpPeriod, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1,
		})
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step, ok = candidate, true
		}
	}
	return step, ok
}

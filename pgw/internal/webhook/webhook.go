// Package webhook takes providers' notifications in. It believes nothing they say: a notification about a payment makes the
// gateway ask the provider's API, one about a settlement file is written down for whoever fetches files. So a forged one
// changes nothing, one that comes twice or too early does no harm, and one that never comes is made up for by asking anyway.
package webhook

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mpac-cloud/mpac/pgw/internal/provider"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/problem"
)

// Config says what may be fetched on a notification's word.
type Config struct {
	FileHosts []string `env:"PROVIDER_FILE_HOSTS" envDefault:".paypay.ne.jp" doc:"where announced settlement files may be fetched from, comma separated: a host, a domain with a dot in front (https), or an origin such as http://127.0.0.1:8091"`
}

// Refused is told to a sender that is not the provider.
var Refused = problem.Define("webhook_refused", 403, "The notification does not come from the provider")

// kind of notification, as the table has it.
type kind string

const (
	aboutPayment kind = "transaction"
	aboutFile    kind = "file"
	aboutOther   kind = "other"
)

func kindOf(n provider.Notice) kind {
	switch {
	case n.FileURL != "":
		return aboutFile
	case n.AttemptID != "" || n.PaymentID != "":
		return aboutPayment
	}
	return aboutOther
}

// notificationID is made of the day and the payload, so that a payload is one row a day however often it comes. Providers
// give notifications no id of their own.
func notificationID(providerName string, payload []byte, now time.Time) string {
	day := id.ULIDFloor("pn", now.UTC().Truncate(24*time.Hour))
	sum := sha256.Sum256(append([]byte(providerName+"\n"), payload...))
	// 16 characters of ULID's alphabet: 80 bits.
	return day[:len(day)-16] + ulidAlphabet.EncodeToString(sum[:10])
}

var ulidAlphabet = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// checkPayload refuses what cannot be kept as text.
func checkPayload(payload []byte) error {
	if !utf8.Valid(payload) || slices.Contains(payload, 0) {
		return problem.Malformed.New("The notification is no UTF-8 text.")
	}
	return nil
}

var errFileHost = errors.New("a file is announced at a host that is not the provider's")

// checkFileURL lets only addresses through that the operator has named: an announcement is anybody's word.
func checkFileURL(raw string, hosts []string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil {
		return fmt.Errorf("%w: no plain URL", errFileHost)
	}
	for _, allowed := range hosts {
		if strings.Contains(allowed, "://") {
			if u.Scheme+"://"+u.Host == allowed {
				return nil
			}
			continue
		}
		if u.Scheme != "https" || u.Port() != "" {
			continue
		}
		if host := strings.ToLower(u.Hostname()); host == allowed || (strings.HasPrefix(allowed, ".") && strings.HasSuffix(host, allowed)) {
			return nil
		}
	}
	return fmt.Errorf("%w: %s", errFileHost, u.Host)
}

// PayPay's file names: [preauth_]transaction_<merchant id>_<from>_<to>_v2.csv.
var fileName = regexp.MustCompile(`^(?:preauth_)?transaction_([A-Za-z0-9-]+)_\d{14}_\d{14}`)

// contractOf reads the provider's merchant id from a file's name; "" when it is not in there.
func contractOf(name string) string {
	if m := fileName.FindStringSubmatch(name); m != nil {
		return m[1]
	}
	return ""
}

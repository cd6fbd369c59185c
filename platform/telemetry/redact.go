package telemetry

import (
	"encoding/json"
	"log/slog"
	"regexp"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace"
)

const redactedMark = "[redacted]"

const secretNames = `password|passwd|secret|authorization|cookie|payment_token|access_token|refresh_token|mfa_token|` +
	`client_assertion|activation_code|customer_code|totp|private_key|api_secret|otp|database_url|redis_url`

// secretKey names attributes whose value is never written, whatever it is.
var secretKey = regexp.MustCompile(`(?i)(` + secretNames + `|^pin$|^token$)`)

// secretText finds secrets inside free text: our keys, JWTs, Authorization values, passwords in addresses, tokens in queries, members
// of JSON and forms with a secret's name.
var secretText = regexp.MustCompile(`sk_(?:test|live)_[A-Za-z0-9_-]+` +
	`|pt_[A-Za-z0-9_-]{20,}` +
	`|whsec_[A-Za-z0-9+/=_-]+` +
	`|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*` +
	`|(?i:bearer)\s+[A-Za-z0-9._~+/=-]+` +
	`|(?i:hmac(?:-sha256(?:-2)?| OPA-Auth)?)[ :][^\s"]*:[^\s"]{16,}` +
	`|([?&](?i:payment_token|token|ticket|code|client_assertion)=)[^&\s"]+` +
	`|(\\?"(?i:[a-z_]*(?:` + secretNames + `)|token)\\?"\s*:\s*\\?")[^"\\]+` +
	`|((?i:\b(?:` + secretNames + `))=)[^&\s"]+` +
	`|(://[^:/\s]+:)[^@\s]+@`)

var digits = regexp.MustCompile(`\b\d(?:[ -]?\d){12,18}\b`)

// Redact takes secrets and card numbers out of a text.
func Redact(s string) string {
	if len(s) < 8 || !suspicious(s) {
		return s
	}
	s = secretText.ReplaceAllString(s, "${1}${2}${3}${4}"+redactedMark)
	return digits.ReplaceAllStringFunc(s, func(d string) string {
		if !luhn(d) {
			return d
		}
		return redactedMark
	})
}

// suspicious tells, at little cost, texts that may hold a secret from the many that can't: every pattern above needs one of
// these characters, or a word of authorization, or thirteen digits.
func suspicious(s string) bool {
	count := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '_' || c == '=' || c == '@' || c == '"':
			return true
		case c >= '0' && c <= '9':
			if count++; count >= 13 {
				return true
			}
		}
	}
	if strings.Contains(s, "eyJ") {
		return true
	}
	lower := strings.ToLower(s)
	return strings.Contains(lower, "bearer") || strings.Contains(lower, "hmac")
}

// luhn reports whether the digits of s pass the check that every card number passes.
func luhn(s string) bool {
	sum, double := 0, false
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] < '0' || s[i] > '9' {
			continue
		}
		d := int(s[i] - '0')
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		double = !double
	}
	return sum%10 == 0
}

func redactAttr(a slog.Attr) slog.Attr {
	if secretKey.MatchString(a.Key) {
		return slog.String(a.Key, redactedMark)
	}
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.String(a.Key, Redact(v.String()))
	case slog.KindGroup:
		members := v.Group()
		clean := make([]any, len(members))
		for i, m := range members {
			clean[i] = redactAttr(m)
		}
		return slog.Group(a.Key, clean...)
	case slog.KindAny:
		return redactAny(a.Key, v.Any())
	default: // numbers, times and truths tell no secret
		return a
	}
}

// redactAny looks at a value as the log would write it.
func redactAny(key string, value any) slog.Attr {
	switch x := value.(type) {
	case error:
		return slog.String(key, Redact(x.Error()))
	case []string:
		return slog.String(key, Redact(strings.Join(x, " ")))
	case []byte:
		return slog.String(key, Redact(string(x)))
	}
	text, err := json.Marshal(value)
	if err != nil {
		return slog.String(key, "["+err.Error()+"]")
	}
	if clean := Redact(string(text)); clean != string(text) {
		return slog.String(key, clean)
	}
	return slog.Any(key, value)
}

// cleanSpan is a span without what must not leave.
type cleanSpan struct {
	trace.ReadOnlySpan
	name   string
	attrs  []attribute.KeyValue
	events []trace.Event
	status trace.Status
}

// Name is the span's, redacted.
func (s cleanSpan) Name() string { return s.name }

// Attributes are the span's, redacted.
func (s cleanSpan) Attributes() []attribute.KeyValue { return s.attrs }

// Events are the span's, redacted: an error's text is one.
func (s cleanSpan) Events() []trace.Event { return s.events }

// Status is the span's, redacted.
func (s cleanSpan) Status() trace.Status { return s.status }

// redactSpan takes secrets out of a span. It runs where spans are sent, not where they are made.
func redactSpan(s trace.ReadOnlySpan) trace.ReadOnlySpan {
	status := s.Status()
	status.Description = Redact(status.Description)
	events := s.Events()
	if len(events) > 0 {
		events = make([]trace.Event, len(events))
		for i, e := range s.Events() {
			e.Attributes = redactAttributes(e.Attributes)
			events[i] = e
		}
	}
	return cleanSpan{ReadOnlySpan: s, name: Redact(s.Name()), attrs: redactAttributes(s.Attributes()), events: events, status: status}
}

// withQuery are attributes that hold an address: what follows the question mark stays here.
var withQuery = map[attribute.Key]bool{"url.full": true, "http.url": true, "http.target": true}

func redactAttributes(attrs []attribute.KeyValue) []attribute.KeyValue {
	var changed []attribute.KeyValue
	for i, kv := range attrs {
		if kv.Value.Type() != attribute.STRING {
			continue
		}
		text := kv.Value.AsString()
		var clean string
		switch {
		case withQuery[kv.Key]:
			clean, _, _ = strings.Cut(text, "?")
			clean = Redact(clean)
		case kv.Key == "url.query" || secretKey.MatchString(string(kv.Key)):
			clean = redactedMark
		default:
			clean = Redact(text)
		}
		if clean == text {
			continue
		}
		if changed == nil {
			changed = append([]attribute.KeyValue(nil), attrs...)
		}
		changed[i] = attribute.String(string(kv.Key), clean)
	}
	if changed == nil {
		return attrs
	}
	return changed
}

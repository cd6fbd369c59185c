package intent

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/mpac-cloud/mpac/pgw/internal/idempotency"
	"github.com/mpac-cloud/mpac/pgw/internal/partner"
	"github.com/mpac-cloud/mpac/platform/problem"
)

// Statuses of answers, as HTTP numbers them.
const (
	statusOK       = 200
	statusCreated  = 201
	statusAccepted = 202
)

const jsonType = "application/json"

// encode writes JSON as every answer has it: no HTML escapes, one line.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return b.Bytes(), nil
}

// Encoded is an answer with v as its body.
func Encoded(status int, v any) (idempotency.Answer, error) {
	body, err := encode(v)
	return idempotency.Answer{Status: status, ContentType: jsonType, Body: body}, err
}

func resourceAnswer(status int, in Intent) (idempotency.Answer, error) {
	return Encoded(status, Render(in))
}

// problemAnswer is a problem as the kept answer of work that began.
func problemAnswer(e *problem.Error) (idempotency.Answer, error) {
	body, err := encode(e)
	return idempotency.Answer{Status: e.GetStatus(), ContentType: problem.ContentType, Body: body}, err
}

// confirmAnswer is the intent as the confirm left it.
func confirmAnswer(in Intent) (idempotency.Answer, error) { return resourceAnswer(statusOK, in) }

// cancelAnswer: 200 when it is over unpaid, 202 while the provider is still being asked, and a problem when the customer was
// faster: nobody should read that one as "cancelled".
func cancelAnswer(in Intent) (idempotency.Answer, error) {
	switch in.Status {
	case Cancelled, Failed:
		return resourceAnswer(statusOK, in)
	case Succeeded:
		return problemAnswer(AlreadyPaid.New("The payment succeeded before it could be cancelled; refund it instead.").With("payment_intent", Render(in)))
	default:
		return resourceAnswer(statusAccepted, in)
	}
}

// KeyRequest is the idempotency request of a verified call.
func KeyRequest(c partner.Call) idempotency.Request {
	return idempotency.Request{
		PartnerID: c.PartnerID, Mode: c.Mode, Credential: c.Credential(), Key: c.IdempotencyKey,
		Fingerprint: idempotency.Fingerprint(c.Method, c.Path, c.Body), Signature: c.Signature, SignedAt: c.SignedAt,
	}
}

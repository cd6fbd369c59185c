package main

// description opens the documentation page. It is written for a partner who reads it for the first time.
const description = `One API over many payment providers.

### A first payment

1. **Create** a PaymentIntent: what is to be paid, and your reference of it.
2. **Confirm** it with a method. For ` + "`qr_mpm`" + ` the answer has ` + "`qr_content`" + `: show it as a QR code.
3. The customer pays in the wallet. **Read the event feed** (or retrieve the PaymentIntent): ` + "`payment_intent.succeeded`" + `.

Amounts are integers in the currency's minor unit: 1200 JPY is 1,200 yen, 1200 USD is 12 dollars.

### What you can rely on

* **Nothing happens twice.** Send an ` + "`Idempotency-Key`" + ` with every POST; try again with the same key whenever you are in doubt, for 24 hours
  you get the same answer. Another request under the key is 422, one still running 409.
* **Unknown is not failed.** When a provider does not answer, the PaymentIntent stays ` + "`processing`" + ` and the gateway asks until it is certain.
* **Paid too late is returned.** A provider's success for a PaymentIntent that is final never moves it; the money goes back to the customer and
  you are told by ` + "`payment_intent.late_success`" + `.
* **Events come in order.** An object's ` + "`version`" + ` ascends with every event; what you have a higher version of, you know already.

### Signing

` + "`Authorization: HMAC-SHA256 <api_key>:<timestamp>:<signature>`" + `

    message   = METHOD \n PATH \n TIMESTAMP \n hex(SHA256(body))      PATH as sent, before decoding, without the query
    key       = the 64 ASCII characters of hex(SHA256(secret))
    signature = hex(HMAC-SHA256(key, message))

With the secret ` + "`sk_test_xyz789`" + ` and the timestamp ` + "`1702123456`" + `:

| request | signature |
|---|---|
| ` + "`POST /v1/payment_intents`, body `{\"amount\": 1000}`" + ` | ` + "`85657de354ad2bb70dd9b852509bcc9ce63840eec0a14ae5645e16bff2b57222`" + ` |
| ` + "`GET /v1/payment_intents`" + `, no body | ` + "`f2f9cfdaaea7e7d5d42cf6fcba9d865e63d3cb3460999c360963a6366ec69f1e`" + ` |

Sign each request afresh: a signature goes with one Idempotency-Key.

### Errors

Every error is ` + "`application/problem+json`" + ` (RFC 9457) with a stable ` + "`code`" + `, the fields at fault and the request's id. Decide by ` + "`code`" + `; 429 and 503
say when to try again in ` + "`Retry-After`" + `.
`

// Package device keeps the terminals: registered, activated by a code with a key pair that the terminal makes itself, and from
// then on given short access tokens against assertions signed by that key.
package device

import (
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"golang.org/x/crypto/argon2"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
)

// What can be wrong with a terminal's way in.
var (
	SerialTaken    = problem.Define("serial_number_taken", 409, "There is a terminal of this serial number already")
	WrongState     = problem.Define("wrong_terminal_state", 409, "The terminal's state does not allow it")
	InvalidCode    = problem.Define("invalid_activation_code", 401, "The activation code is not valid")
	InvalidClient  = problem.Define("invalid_client", 401, "The client assertion is not valid")
	DeviceInactive = problem.Define("device_not_active", 403, "The terminal is not active")
	GrantType      = problem.Define("unsupported_grant_type", 400, "The grant type is not supported")
	InvalidRequest = problem.Define("invalid_request", 400, "The token request lacks something")
)

// States of a terminal as an asset.
const (
	InStock        = "in_stock"
	Shipped        = "shipped"
	Active         = "active"
	Suspended      = "suspended"
	Lost           = "lost"
	Decommissioned = "decommissioned"
)

// Terminal is a SmartPOS in a store.
type Terminal struct {
	ID           uuid.UUID  `json:"id" format:"uuid"`
	PSPID        uuid.UUID  `json:"psp_id" format:"uuid"`
	MerchantID   uuid.UUID  `json:"merchant_id" format:"uuid"`
	StoreID      uuid.UUID  `json:"store_id" format:"uuid"`
	Number       int        `json:"number" doc:"Within its store; numbers made on the terminal carry it"`
	SerialNumber string     `json:"serial_number" doc:"Unique within the PSP"`
	Model        string     `json:"model"`
	Name         string     `json:"name"`
	Status       string     `json:"status" enum:"in_stock,shipped,active,suspended,lost,decommissioned"`
	ClientID     string     `json:"client_id,omitempty" doc:"From activation on"`
	ActivatedAt  *wire.Time `json:"activated_at,omitempty"`
	Version      int64      `json:"version" doc:"Give it with a change"`
	CreatedAt    wire.Time  `json:"created_at"`
	UpdatedAt    wire.Time  `json:"updated_at"`

	key json.RawMessage // public JWK, from activation on
}

// verb is something done to a terminal that changes its state.
type verb string

const (
	suspend      verb = "suspend"
	resume       verb = "resume"
	decommission verb = "decommission"
	markLost     verb = "report_lost"
)

// moves is the table of states: from which the verb leads, and where.
var moves = map[verb]struct {
	from []string
	to   string
}{
	suspend:      {[]string{Active}, Suspended},
	resume:       {[]string{Suspended}, Active},
	markLost:     {[]string{Shipped, Active, Suspended}, Lost},
	decommission: {[]string{InStock, Shipped, Active, Suspended, Lost}, Decommissioned},
}

// move applies the verb. WrongState.
func (t *Terminal) move(v verb) error {
	for _, from := range moves[v].from {
		if t.Status == from {
			t.Status = moves[v].to
			return nil
		}
	}
	return WrongState.New("A terminal that is %s cannot %s.", t.Status, strings.ReplaceAll(string(v), "_", " "))
}

// mayActivate says whether an activation code may be made for the terminal. An active one gets a new key pair: after a factory
// reset it has none.
func (t *Terminal) mayActivate() error {
	switch t.Status {
	case InStock, Shipped, Active:
		return nil
	}
	return WrongState.New("A terminal that is %s cannot be activated.", t.Status)
}

// Activation codes: eight characters of an alphabet without look-alikes, 30^8 of them.
const (
	codeLength   = 8
	codeAlphabet = "ABCDEFGHJKMNPQRSTVWXYZ23456789"
	codeLife     = 15 * time.Minute
	// codesAnHour is how many codes a terminal may be given.
	codesAnHour = 10
)

func newCode() string {
	code := make([]byte, codeLength)
	for i := range code {
		n, _ := rand.Int(rand.Reader, big.NewInt(int64(len(codeAlphabet)))) // does not fail
		code[i] = codeAlphabet[n.Int64()]
	}
	return string(code)
}

// normalCode is the code as it was made, however people type it.
func normalCode(typed string) string {
	return strings.ToUpper(strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' {
			return -1
		}
		return r
	}, typed))
}

// codeHash is what is kept of a code. Codes are looked up by it, so it has no salt of its own; its cost makes trying all codes
// take longer than any of them lives.
func codeHash(code string) []byte {
	const passes, memoryKiB, lanes, size = 1, 8 * 1024, 1, 32
	return argon2.IDKey([]byte(normalCode(code)), []byte("mpac activation code"), passes, memoryKiB, lanes, size)
}

// PublicKey is the public half of a terminal's P-256 key pair, as a JWK. Members that say what it is for are taken and left out.
type PublicKey struct {
	KeyType   string   `json:"kty" enum:"EC"`
	Curve     string   `json:"crv" enum:"P-256"`
	X         string   `json:"x" pattern:"^[A-Za-z0-9_-]{43}$"`
	Y         string   `json:"y" pattern:"^[A-Za-z0-9_-]{43}$"`
	KeyID     string   `json:"kid,omitempty" maxLength:"200"`
	Algorithm string   `json:"alg,omitempty" enum:"ES256"`
	Use       string   `json:"use,omitempty" enum:"sig"`
	KeyOps    []string `json:"key_ops,omitempty" maxItems:"2"`
	Ext       bool     `json:"ext,omitempty"`
}

// canonical checks that the key is a point of the curve and returns it in its shortest form.
func (k PublicKey) canonical() (json.RawMessage, error) {
	raw, err := json.Marshal(map[string]string{"kty": k.KeyType, "crv": k.Curve, "x": k.X, "y": k.Y})
	if err != nil {
		return nil, err
	}
	if _, err := parseKey(raw); err != nil {
		return nil, problem.Validation.Field("public_key", "it is no point of P-256")
	}
	return raw, nil
}

// parseKey reads a kept public key.
func parseKey(raw json.RawMessage) (*ecdsa.PublicKey, error) {
	key, err := jwk.ParseKey(raw)
	if err != nil {
		return nil, err
	}
	var public ecdsa.PublicKey
	if err := jwk.Export(key, &public); err != nil {
		return nil, err
	}
	// ECDH refuses a point that is not on the curve.
	if _, err := public.ECDH(); err != nil {
		return nil, err
	}
	return &public, nil
}

// newClientID is the OAuth client of one activation.
func newClientID() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // does not fail
	return "term_" + base64.RawURLEncoding.EncodeToString(raw[:])
}

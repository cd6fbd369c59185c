package iam

import (
	"context"
	"runtime"
	"strings"

	"github.com/alexedwards/argon2id"

	"github.com/mpac-cloud/mpac/platform/problem"
)

// DefaultParams is the cost of a password hash: argon2id with 19 MiB, two passes, one lane (OWASP's first choice).
var DefaultParams = argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// Hasher hashes and checks passwords, a few at a time: a flood of sign-ins waits instead of taking all memory.
type Hasher struct {
	params argon2id.Params
	slots  chan struct{}
	decoy  string
}

// NewHasher makes a hasher of the cost.
func NewHasher(params argon2id.Params) (*Hasher, error) {
	decoy, err := argon2id.CreateHash("nobody's password", &params)
	if err != nil {
		return nil, err
	}
	return &Hasher{params: params, slots: make(chan struct{}, max(2, runtime.GOMAXPROCS(0))), decoy: decoy}, nil
}

func (h *Hasher) slot(ctx context.Context) (release func(), err error) {
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// hash makes the hash that is kept.
func (h *Hasher) hash(ctx context.Context, password string) (string, error) {
	release, err := h.slot(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	return argon2id.CreateHash(password, &h.params)
}

// matches says whether the password is the hash's. Without a hash (there is no such account) it costs as much and is false.
func (h *Hasher) matches(ctx context.Context, password, hash string) (bool, error) {
	release, err := h.slot(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	unknown := hash == ""
	if unknown {
		hash = h.decoy
	}
	ok, err := argon2id.ComparePasswordAndHash(password, hash)
	return ok && !unknown, err
}

// Length of a password in characters. Long ones are welcome; the bound keeps a request from buying a long hash.
const (
	shortestPassword = 10
	longestPassword  = 200
)

// checkPassword refuses a password that is the account's own name.
func checkPassword(field, password, email string) error {
	account, _, _ := strings.Cut(email, "@")
	lower := strings.ToLower(password)
	if lower == email || lower == account {
		return problem.Validation.Field(field, "it must not be the e-mail address")
	}
	if strings.Trim(lower, lower[:1]) == "" {
		return problem.Validation.Field(field, "it must not be one character repeated")
	}
	return nil
}

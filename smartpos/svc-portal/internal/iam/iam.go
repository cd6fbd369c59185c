// Package iam keeps the people who use the platform, proves who they are and keeps them signed in: password, second factor,
// lockout, access tokens, rotating refresh tokens, sessions.
package iam

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
)

// What can be wrong with a sign-in. None of them tells whether there is such an account.
var (
	InvalidCredentials = problem.Define("invalid_credentials", 401, "The sign-in is not right")
	LoginLocked        = problem.Define("login_locked", 429, "Too many failed sign-ins")
	InvalidMFAToken    = problem.Define("invalid_mfa_token", 401, "The sign-in has to begin again")
	InvalidCode        = problem.Define("invalid_code", 401, "The code is not right")
	AlreadyEnrolled    = problem.Define("already_enrolled", 409, "There is a second factor already")
	InvalidRefresh     = problem.Define("invalid_refresh_token", 401, "The refresh token is not valid")
	RefreshReused      = problem.Define("refresh_token_reused", 401, "The refresh token was used before; the session has been ended")
	EmailTaken         = problem.Define("email_taken", 409, "The e-mail address is in use already")
)

// Lives of what a sign-in hands out.
const (
	challengeLife = 5 * time.Minute
	sessionLife   = 30 * 24 * time.Hour
	refreshLife   = 7 * 24 * time.Hour
	knownLife     = 180 * 24 * time.Hour
	// challengeFailures is how many wrong codes one password step allows.
	challengeFailures = 5
)

// User is a person with a role in a tenant.
type User struct {
	ID         uuid.UUID   `json:"id" format:"uuid"`
	Email      string      `json:"email" format:"email"`
	Name       string      `json:"name"`
	Role       access.Role `json:"role" enum:"SYSTEM_OP,PSP_ADMIN,MERCHANT_ADMIN,STORE_MANAGER,STAFF"`
	PSPID      *uuid.UUID  `json:"psp_id,omitempty" format:"uuid"`
	MerchantID *uuid.UUID  `json:"merchant_id,omitempty" format:"uuid"`
	StoreID    *uuid.UUID  `json:"store_id,omitempty" format:"uuid"`
	Status     string      `json:"status" enum:"active,inactive"`
	Version    int64       `json:"version" doc:"Give it with a change"`
	CreatedAt  wire.Time   `json:"created_at"`
	UpdatedAt  wire.Time   `json:"updated_at"`
}

// Session is a sign-in that lasts.
type Session struct {
	ID         uuid.UUID `json:"id" format:"uuid"`
	CreatedAt  wire.Time `json:"created_at"`
	LastUsedAt wire.Time `json:"last_used_at"`
	ExpiresAt  wire.Time `json:"expires_at"`
	IP         string    `json:"ip"`
	UserAgent  string    `json:"user_agent"`
	Current    bool      `json:"current" doc:"The session that this request belongs to"`
}

// Tokens is what a complete sign-in gives.
type Tokens struct {
	Access  string
	Refresh string
	// Known marks the browser as one that this user has signed in from; given once, at sign-in.
	Known string
}

// normalEmail is the one form of an address: an account has one, however it is typed.
func normalEmail(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// Opaque tokens are 256 random bits behind a prefix that says what they are; kept are only their hashes.
const (
	refreshPrefix   = "rt_"
	challengePrefix = "mfa_"
	knownPrefix     = "kd_"
)

func newToken(prefix string) string {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // does not fail
	return prefix + base64.RawURLEncoding.EncodeToString(raw[:])
}

func hashOf(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

func val(id *uuid.UUID) uuid.UUID {
	if id == nil {
		return uuid.Nil
	}
	return *id
}

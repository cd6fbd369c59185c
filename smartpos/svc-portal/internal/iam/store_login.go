package iam

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/portaldb"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/audit"
)

// Signing in and staying in happen before a tenant is known.
var loginScope = postgres.CrossTenant("portal.login")

func (d *DB) loginTx(ctx context.Context, name string, fn func(context.Context, *portaldb.Queries, time.Time) error) error {
	return postgres.InTx(ctx, d.Pool, loginScope, name, func(ctx context.Context, tx pgx.Tx) error {
		return fn(ctx, portaldb.New(tx), d.Clock())
	})
}

func (d *DB) knownDevice(ctx context.Context, token, email string) (known bool, err error) {
	err = postgres.InReadTx(ctx, d.Pool, loginScope, "portal.login.known", func(ctx context.Context, tx pgx.Tx) error {
		known, err = portaldb.New(tx).KnownDevice(ctx, portaldb.KnownDeviceParams{TokenHash: hashOf(token), Email: email, Now: d.Clock()})
		return err
	})
	return known, err
}

// candidate is what is kept of the account that was typed; zero when there is none.
type candidate struct {
	user               User
	passwordHash       string
	enrolled, mayEnter bool
}

func (d *DB) candidate(ctx context.Context, email string) (candidate, error) {
	var c candidate
	err := postgres.InReadTx(ctx, d.Pool, loginScope, "portal.login.find", func(ctx context.Context, tx pgx.Tx) error {
		row, err := portaldb.New(tx).UserForLogin(ctx, email)
		if postgres.IsNoRows(err) {
			return nil
		}
		c = candidate{
			user: userOf(row.PortalUser), passwordHash: row.PasswordHash, enrolled: row.TotpConfirmedAt != nil,
			mayEnter: row.PortalUser.Status == "active" && row.TenantActive,
		}
		return err
	})
	return c, err
}

// countAttempt counts the attempt as failed before it is judged. LoginLocked when it has to wait.
func (d *DB) countAttempt(ctx context.Context, a attempt) error {
	return d.loginTx(ctx, "portal.login.count", func(ctx context.Context, q *portaldb.Queries, now time.Time) error {
		return count(ctx, q, a, now)
	})
}

func count(ctx context.Context, q *portaldb.Queries, a attempt, now time.Time) error {
	past, err := a.read(ctx, q)
	if err != nil {
		return err
	}
	for _, source := range a.sources() {
		if err := locked(past[source].wait(now)); err != nil {
			return err
		}
	}
	for _, source := range a.sources() {
		next := past[source].failedFromSource(now)
		if source == everySource {
			next = past[source].failedFromAnywhere(now)
		}
		if err := a.write(ctx, q, source, next); err != nil {
			return err
		}
	}
	return nil
}

// read locks the account and reads what is known of its failures.
func (a attempt) read(ctx context.Context, q *portaldb.Queries) (map[string]failures, error) {
	if err := q.LockAccount(ctx, hex.EncodeToString(a.account[:])); err != nil {
		return nil, err
	}
	rows, err := q.LoginFailures(ctx, portaldb.LoginFailuresParams{AccountHash: a.account[:], Sources: a.sources()})
	past := make(map[string]failures, len(rows))
	for _, r := range rows {
		f := failures{count: int(r.Failures), lastAt: r.LastAt}
		if r.LockedUntil != nil {
			f.lockedUntil = *r.LockedUntil
		}
		past[r.Source] = f
	}
	return past, err
}

func (a attempt) write(ctx context.Context, q *portaldb.Queries, source string, f failures) error {
	params := portaldb.PutLoginFailureParams{AccountHash: a.account[:], Source: source, Failures: int32(f.count), LastAt: f.lastAt} //nolint:gosec // small
	if !f.lockedUntil.IsZero() {
		params.LockedUntil = &f.lockedUntil
	}
	return q.PutLoginFailure(ctx, params)
}

// uncount takes back the failure that countAttempt had counted ahead: the password was right, the code is yet to come.
func uncount(ctx context.Context, q *portaldb.Queries, a attempt) error {
	past, err := a.read(ctx, q)
	if err != nil {
		return err
	}
	for _, source := range a.sources() {
		if err := a.write(ctx, q, source, past[source].undone()); err != nil {
			return err
		}
	}
	return nil
}

// challenge notes that the password was right.
func (d *DB) challenge(ctx context.Context, a attempt, userID uuid.UUID, token string) error {
	return d.loginTx(ctx, "portal.login.challenge", func(ctx context.Context, q *portaldb.Queries, now time.Time) error {
		if err := uncount(ctx, q, a); err != nil {
			return err
		}
		return q.InsertChallenge(ctx, portaldb.InsertChallengeParams{
			TokenHash: hashOf(token), UserID: userID, Now: now, ExpiresAt: now.Add(challengeLife),
		})
	})
}

// open finds and locks a challenge that may still be answered. InvalidMFAToken.
func open(ctx context.Context, q *portaldb.Queries, token string, now time.Time) (User, error) {
	invalid := InvalidMFAToken.New("The sign-in has expired or was used; begin again with the password.")
	row, err := q.LockChallenge(ctx, hashOf(token))
	if postgres.IsNoRows(err) {
		return User{}, invalid
	}
	if err != nil {
		return User{}, err
	}
	c := row.PortalMfaChallenge
	if c.UsedAt != nil || !now.Before(c.ExpiresAt) || c.Failures >= challengeFailures {
		return User{}, invalid
	}
	if may, err := q.UserMaySignIn(ctx, c.UserID); err != nil || !may {
		if err != nil {
			return User{}, err
		}
		return User{}, invalid
	}
	return userOf(row.PortalUser), nil
}

// challenged is whose challenge it is.
func (d *DB) challenged(ctx context.Context, token string) (u User, err error) {
	err = d.loginTx(ctx, "portal.login.challenged", func(ctx context.Context, q *portaldb.Queries, now time.Time) error {
		u, err = open(ctx, q, token, now)
		return err
	})
	return u, err
}

// beginTOTP keeps a secret that is not confirmed yet. AlreadyEnrolled.
func (d *DB) beginTOTP(ctx context.Context, token, secret string) (email string, err error) {
	err = postgres.InTx(ctx, d.Pool, loginScope, "portal.login.enrol", func(ctx context.Context, tx pgx.Tx) error {
		q, now := portaldb.New(tx), d.Clock()
		u, err := open(ctx, q, token, now)
		if err != nil {
			return err
		}
		email = u.Email
		blob, err := d.Sealer.Seal(ctx, []byte(secret), totpPlace(u.ID)...)
		if err != nil {
			return err
		}
		begun, err := q.BeginTOTP(ctx, portaldb.BeginTOTPParams{UserID: u.ID, SecretSealed: blob})
		if err != nil {
			return err
		}
		if begun == 0 {
			return AlreadyEnrolled.New("This account has a second factor; ask an administrator to take it away if it is lost.")
		}
		e := u.entry("user.mfa_enrol", nil, nil)
		e.Actor = audit.User(u.ID)
		return audit.Add(ctx, tx, now, e)
	})
	return email, err
}

// countCode counts a try at the second factor as failed, on the challenge and on the account, and opens the secret.
func (d *DB) countCode(ctx context.Context, a attempt, token string) (secret string, err error) {
	err = d.loginTx(ctx, "portal.login.count_code", func(ctx context.Context, q *portaldb.Queries, now time.Time) error {
		u, err := open(ctx, q, token, now)
		if err != nil {
			return err
		}
		if err := count(ctx, q, a, now); err != nil {
			return err
		}
		if err := q.FailChallenge(ctx, hashOf(token)); err != nil {
			return err
		}
		row, err := q.TOTPOf(ctx, u.ID)
		if err != nil {
			return err
		}
		if row.TotpSecretSealed == nil {
			return invalidCode() // the enrolment has not begun
		}
		plain, err := d.Sealer.Open(ctx, row.TotpSecretSealed, totpPlace(u.ID)...)
		secret = string(plain)
		return err
	})
	return secret, err
}

// enter writes all that a sign-in leaves behind, or nothing of it.
func (d *DB) enter(ctx context.Context, e entry) error {
	return postgres.InTx(ctx, d.Pool, loginScope, "portal.login.enter", func(ctx context.Context, tx pgx.Tx) error {
		q, now, origin := portaldb.New(tx), d.Clock(), audit.OriginOf(ctx)
		if e.factor != nil {
			if err := e.factor.useUp(ctx, q, e.user.ID, now); err != nil {
				return err
			}
		}
		if err := q.ForgetLoginFailures(ctx, portaldb.ForgetLoginFailuresParams{AccountHash: e.attempt.account[:], Sources: e.attempt.sources()}); err != nil {
			return err
		}
		expires := now.Add(sessionLife)
		if err := q.InsertSession(ctx, portaldb.InsertSessionParams{
			ID: e.session, UserID: e.user.ID, Now: now, ExpiresAt: expires, Ip: origin.IP, UserAgent: origin.UserAgent,
		}); err != nil {
			return err
		}
		if err := q.InsertRefreshToken(ctx, portaldb.InsertRefreshTokenParams{
			TokenHash: hashOf(e.refresh), SessionID: e.session, Now: now, ExpiresAt: earlier(now.Add(refreshLife), expires),
		}); err != nil {
			return err
		}
		if e.known != "" {
			if err := q.InsertKnownDevice(ctx, portaldb.InsertKnownDeviceParams{
				TokenHash: hashOf(e.known), UserID: e.user.ID, Now: now, ExpiresAt: now.Add(knownLife),
			}); err != nil {
				return err
			}
		}
		entry := e.user.entry("user.login", nil, map[string]any{"session": e.session, "second_factor": e.factor != nil})
		entry.Actor = audit.User(e.user.ID)
		return audit.Add(ctx, tx, now, entry)
	})
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// useUp takes the code and its challenge, once: of two at once with the same code, one finds the step taken.
func (f *secondFactor) useUp(ctx context.Context, q *portaldb.Queries, userID uuid.UUID, now time.Time) error {
	accepted, err := q.AcceptTOTP(ctx, portaldb.AcceptTOTPParams{UserID: userID, Step: f.step, Now: now})
	if err != nil {
		return err
	}
	used, err := q.UseChallenge(ctx, portaldb.UseChallengeParams{TokenHash: hashOf(f.challenge), Now: &now})
	if err != nil {
		return err
	}
	if accepted == 0 || used == 0 {
		return invalidCode()
	}
	return nil
}

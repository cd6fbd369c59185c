package iam

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/platform/sealed"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/portaldb"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/audit"
)

// DB keeps the people.
type DB struct {
	Pool   *pgxpool.Pool
	Clock  clock.Clock
	Sealer *sealed.Sealer
}

func (d *DB) newID() uuid.UUID { return id.NewUUID(d.Clock()) }

func userOf(r portaldb.PortalUser) User {
	return User{
		ID: r.ID, Email: r.Email, Name: r.Name, Role: access.Role(r.Role), PSPID: r.PspID, MerchantID: r.MerchantID, StoreID: r.StoreID,
		Status: r.Status, Version: r.Version, CreatedAt: wire.At(r.CreatedAt), UpdatedAt: wire.At(r.UpdatedAt),
	}
}

func (u User) entry(action string, before, after any) audit.Entry {
	return audit.Entry{
		Action: action, Entity: "user", EntityID: u.ID.String(), PSPID: val(u.PSPID), MerchantID: val(u.MerchantID), StoreID: val(u.StoreID),
		Before: before, After: after,
	}
}

// Create adds a user with a password. EmailTaken; problem.Validation when the tenant is none that the caller sees.
func (d *DB) Create(ctx context.Context, scope postgres.Scope, u User, passwordHash string) (User, error) {
	now := d.Clock()
	u.ID = id.NewUUID(now)
	err := postgres.InTx(ctx, d.Pool, scope, "portal.user.create", func(ctx context.Context, tx pgx.Tx) error {
		if err := u.bind(ctx, tx); err != nil {
			return err
		}
		return d.insert(ctx, tx, &u, passwordHash, now)
	})
	if postgres.IsUnique(err, "users_email_key") {
		return u, EmailTaken.Field("email", "the address is in use already")
	}
	return u, err
}

func (d *DB) insert(ctx context.Context, tx pgx.Tx, u *User, passwordHash string, now time.Time) error {
	q := portaldb.New(tx)
	if err := q.InsertUser(ctx, portaldb.InsertUserParams{
		ID: u.ID, Email: u.Email, Name: u.Name, Role: string(u.Role), PspID: u.PSPID, MerchantID: u.MerchantID, StoreID: u.StoreID, Now: now,
	}); err != nil {
		return err
	}
	if err := q.InsertUserCredentials(ctx, portaldb.InsertUserCredentialsParams{UserID: u.ID, PasswordHash: passwordHash, Now: now}); err != nil {
		return err
	}
	row, err := q.User(ctx, u.ID)
	if err != nil {
		return err
	}
	*u = userOf(row)
	return audit.Add(ctx, tx, now, u.entry("user.create", nil, u))
}

// bind completes the tenant of the user's role from its lowest level, as the caller may see it, and holds what was said above
// it against that.
func (u *User) bind(ctx context.Context, tx pgx.Tx) error {
	q, said := portaldb.New(tx), *u
	u.PSPID, u.MerchantID, u.StoreID = nil, nil, nil
	switch u.Role {
	case access.SystemOp:
	case access.PSPAdmin:
		row, err := q.PSP(ctx, val(said.PSPID))
		if err != nil {
			return unseen(err, "psp_id")
		}
		u.PSPID = &row.ID
	case access.MerchantAdmin:
		row, err := q.Merchant(ctx, val(said.MerchantID))
		if err != nil {
			return unseen(err, "merchant_id")
		}
		u.PSPID, u.MerchantID = &row.PspID, &row.ID
	default:
		row, err := q.Store(ctx, val(said.StoreID))
		if err != nil {
			return unseen(err, "store_id")
		}
		u.PSPID, u.MerchantID, u.StoreID = &row.PspID, &row.MerchantID, &row.ID
	}
	return u.holds(said)
}

func unseen(err error, field string) error {
	if postgres.IsNoRows(err) {
		return problem.Validation.Field(field, "there is no such thing, and the role needs one")
	}
	return err
}

// UserFilter narrows a list; zero members do not.
type UserFilter struct {
	PSPID, MerchantID, StoreID uuid.UUID
	Role, Status, Email        string
	Before                     *uuid.UUID
	Size                       int32
}

// User reads one.
func (d *DB) User(ctx context.Context, scope postgres.Scope, userID uuid.UUID) (User, error) {
	var u User
	err := postgres.InReadTx(ctx, d.Pool, scope, "portal.user.get", func(ctx context.Context, tx pgx.Tx) error {
		row, err := portaldb.New(tx).User(ctx, userID)
		u = userOf(row)
		return found(err, userID)
	})
	return u, err
}

func found(err error, userID uuid.UUID) error {
	if postgres.IsNoRows(err) {
		return problem.NotFound.New("There is no user %s.", userID)
	}
	return err
}

// Users reads a page.
func (d *DB) Users(ctx context.Context, scope postgres.Scope, f UserFilter) ([]User, error) {
	var all []User
	err := postgres.InReadTx(ctx, d.Pool, scope, "portal.user.list", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := portaldb.New(tx).ListUsers(ctx, portaldb.ListUsersParams{
			Before: f.Before, PspID: wire.OrNil(f.PSPID), MerchantID: wire.OrNil(f.MerchantID), StoreID: wire.OrNil(f.StoreID), Role: wire.OrNil(f.Role),
			Status: wire.OrNil(f.Status), Email: wire.OrNil(f.Email), PageSize: f.Size,
		})
		for _, r := range rows {
			all = append(all, userOf(r))
		}
		return err
	})
	return all, err
}

// Change changes what change does to the version seen, and the password when hash is not empty. A user whose role, tenant, status
// or password changes is signed out everywhere.
func (d *DB) Change(ctx context.Context, scope postgres.Scope, userID uuid.UUID, seen int64, hash string, change func(*User) error) (User, error) {
	var u User
	err := postgres.InTx(ctx, d.Pool, scope, "portal.user.change", func(ctx context.Context, tx pgx.Tx) error {
		q, now := portaldb.New(tx), d.Clock()
		row, err := q.LockUser(ctx, userID)
		if err != nil {
			return found(err, userID)
		}
		before := userOf(row)
		if err := problem.IfStale(seen, before.Version, before); err != nil {
			return err
		}
		u = before
		if err := change(&u); err != nil {
			return err
		}
		if err := u.bind(ctx, tx); err != nil {
			return err
		}
		if err := q.UpdateUser(ctx, portaldb.UpdateUserParams{
			ID: userID, Name: u.Name, Role: string(u.Role), PspID: u.PSPID, MerchantID: u.MerchantID, StoreID: u.StoreID, Status: u.Status, Now: now,
		}); err != nil {
			return err
		}
		u.Version, u.UpdatedAt = u.Version+1, wire.At(now)
		if err := d.signOut(ctx, tx, before, u, hash, now); err != nil {
			return err
		}
		return audit.Add(ctx, tx, now, u.entry("user.update", before, changed{u, hash != ""}))
	})
	return u, err
}

// changed is a user after a change, as the audit log tells it.
type changed struct {
	User
	SignInChanged bool `json:"sign_in_changed"`
}

func (d *DB) signOut(ctx context.Context, tx pgx.Tx, before, after User, hash string, now time.Time) error {
	q := portaldb.New(tx)
	if hash != "" {
		if err := q.SetPassword(ctx, portaldb.SetPasswordParams{UserID: after.ID, PasswordHash: hash, Now: now}); err != nil {
			return err
		}
	}
	same := hash == "" && before.Role == after.Role && before.Status == after.Status && val(before.PSPID) == val(after.PSPID) &&
		val(before.MerchantID) == val(after.MerchantID) && val(before.StoreID) == val(after.StoreID)
	if same {
		return nil
	}
	return d.endAll(ctx, tx, after.ID, "user_changed", now)
}

func (d *DB) endAll(ctx context.Context, tx pgx.Tx, userID uuid.UUID, reason string, now time.Time) error {
	_, err := portaldb.New(tx).EndSessionsOfUser(ctx, portaldb.EndSessionsOfUserParams{UserID: userID, Now: &now, Reason: &reason})
	return err
}

// ResetMFA takes a user's second factor away, for one who has lost it, and signs them out everywhere.
func (d *DB) ResetMFA(ctx context.Context, scope postgres.Scope, userID uuid.UUID, allowed func(User) error) error {
	return postgres.InTx(ctx, d.Pool, scope, "portal.user.reset_mfa", func(ctx context.Context, tx pgx.Tx) error {
		q, now := portaldb.New(tx), d.Clock()
		row, err := q.LockUser(ctx, userID)
		if err != nil {
			return found(err, userID)
		}
		u := userOf(row)
		if err := allowed(u); err != nil {
			return err
		}
		if err := q.ClearTOTP(ctx, userID); err != nil {
			return err
		}
		if err := d.endAll(ctx, tx, userID, "user_changed", now); err != nil {
			return err
		}
		return audit.Add(ctx, tx, now, u.entry("user.mfa_reset", nil, nil))
	})
}

// Seed makes the platform's first operator, unless there is a user of that address already: made says which it was.
func (d *DB) Seed(ctx context.Context, u User, passwordHash, totpSecret string) (made bool, err error) {
	now := d.Clock()
	u.ID, u.Role = id.NewUUID(now), access.SystemOp
	err = postgres.InTx(ctx, d.Pool, postgres.CrossTenant("portal.seed"), "portal.seed", func(ctx context.Context, tx pgx.Tx) error {
		q := portaldb.New(tx)
		_, err := q.UserForLogin(ctx, u.Email)
		if err == nil || !postgres.IsNoRows(err) {
			return err
		}
		if err := d.insert(ctx, tx, &u, passwordHash, now); err != nil {
			return err
		}
		made = true
		if totpSecret == "" {
			return nil
		}
		blob, err := d.Sealer.Seal(ctx, []byte(totpSecret), totpPlace(u.ID)...)
		if err != nil {
			return err
		}
		return q.SeedTOTP(ctx, portaldb.SeedTOTPParams{UserID: u.ID, SecretSealed: blob, Now: &now})
	})
	if postgres.IsUnique(err, "users_email_key") {
		return false, nil // another seeding was quicker
	}
	return made, err
}

func totpPlace(userID uuid.UUID) []string {
	return []string{"portal.user_credentials", "totp_secret_sealed", userID.String()}
}

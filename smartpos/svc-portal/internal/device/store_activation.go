package device

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/portaldb"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/audit"
)

// GenerateCode makes an activation code for the terminal; an earlier one that is unused ends with it.
func (d *DB) GenerateCode(ctx context.Context, scope postgres.Scope, terminal uuid.UUID, by string) (code string, expires time.Time, err error) {
	code = newCode()
	hash := codeHash(code)
	err = postgres.InTx(ctx, d.Pool, scope, "portal.activation.generate", func(ctx context.Context, tx pgx.Tx) error {
		q, now := portaldb.New(tx), d.Clock()
		row, err := q.LockTerminal(ctx, terminal)
		if postgres.IsNoRows(err) {
			return problem.Validation.Field("terminal_id", "there is no such terminal")
		}
		if err != nil {
			return err
		}
		t := terminalOf(row)
		if err := t.mayActivate(); err != nil {
			return err
		}
		made, err := q.CountActivationCodes(ctx, portaldb.CountActivationCodesParams{TerminalID: t.ID, Since: now.Add(-time.Hour)})
		if err != nil {
			return err
		}
		if made >= codesAnHour {
			return problem.RateLimited.New("At most %d codes an hour are made for a terminal.", codesAnHour).WithHeader("Retry-After", "3600")
		}
		if err := q.RevokeActivationCodes(ctx, portaldb.RevokeActivationCodesParams{TerminalID: t.ID, Now: &now}); err != nil {
			return err
		}
		expires = now.Add(codeLife)
		if err := q.InsertActivationCode(ctx, portaldb.InsertActivationCodeParams{
			CodeHash: hash, TerminalID: t.ID, Now: now, CreatedBy: by, ExpiresAt: expires,
		}); err != nil {
			return err
		}
		return audit.Add(ctx, tx, now, t.entry("terminal.activation_code", nil, map[string]any{"expires_at": wire.At(expires)}))
	})
	return code, expires, err
}

func invalidCode() error {
	return InvalidCode.New("The activation code is unknown, used or expired; have a new one made.")
}

// Activate uses up the code and gives its terminal the key: of several at once with one code, one succeeds. InvalidCode.
func (d *DB) Activate(ctx context.Context, code string, key json.RawMessage, about About) (Terminal, error) {
	var t Terminal
	hash := codeHash(code)
	err := postgres.InTx(ctx, d.Pool, activationScope, "portal.activation.activate", func(ctx context.Context, tx pgx.Tx) error {
		q, now := portaldb.New(tx), d.Clock()
		row, err := q.LockActivationCode(ctx, hash)
		if postgres.IsNoRows(err) {
			return invalidCode()
		}
		if err != nil {
			return err
		}
		if row.UsedAt != nil || row.RevokedAt != nil || !now.Before(row.ExpiresAt) {
			return invalidCode()
		}
		terminal, err := q.LockTerminal(ctx, row.TerminalID)
		if err != nil {
			return err
		}
		before := terminalOf(terminal)
		t = before
		if err := t.mayActivate(); err != nil {
			return err
		}
		if about.SerialNumber != "" && about.SerialNumber != t.SerialNumber {
			return problem.Validation.Field("device.serial_number", "the code was made for another terminal")
		}
		at := wire.At(now)
		t.Status, t.ClientID, t.key, t.ActivatedAt = Active, newClientID(), key, &at
		if err := q.UseActivationCode(ctx, portaldb.UseActivationCodeParams{CodeHash: hash, Now: &now}); err != nil {
			return err
		}
		if err := update(ctx, q, &t, now); err != nil {
			return err
		}
		e := t.entry("terminal.activate", before, map[string]any{"terminal": t, "public_key": key, "device": about})
		e.Actor = audit.Device(t.ClientID)
		return audit.Add(ctx, tx, now, e)
	})
	return t, err
}

// Status of an activation code.
type Status struct {
	State     string
	ExpiresAt time.Time
}

// CodeStatus says what has become of a code. InvalidCode when there is none.
func (d *DB) CodeStatus(ctx context.Context, code string) (Status, error) {
	hash := codeHash(code)
	var s Status
	err := postgres.InReadTx(ctx, d.Pool, activationScope, "portal.activation.status", func(ctx context.Context, tx pgx.Tx) error {
		row, err := portaldb.New(tx).ActivationCode(ctx, hash)
		if postgres.IsNoRows(err) {
			return invalidCode()
		}
		s = Status{State: "pending", ExpiresAt: row.ExpiresAt}
		switch {
		case row.UsedAt != nil:
			s.State = "activated"
		case row.RevokedAt != nil || !d.Clock().Before(row.ExpiresAt):
			s.State = "expired"
		}
		return err
	})
	return s, err
}

// Authenticate takes a client assertion, once, and returns the terminal it speaks for. InvalidClient, DeviceInactive.
func (d *DB) Authenticate(ctx context.Context, client, assertion string, audiences []string) (Terminal, error) {
	var t Terminal
	err := postgres.InTx(ctx, d.Pool, tokenScope, "portal.device.token", func(ctx context.Context, tx pgx.Tx) error {
		q := portaldb.New(tx)
		row, err := q.TerminalByClient(ctx, &client)
		if postgres.IsNoRows(err) {
			return invalidClient("there is no such client")
		}
		if err != nil {
			return err
		}
		t = terminalOf(row.PortalTerminal)
		key, err := parseKey(t.key)
		if err != nil {
			return err
		}
		used, err := verify(assertion, key, audiences, d.Clock)
		if err != nil {
			return err
		}
		if t.Status != Active || !row.TenantActive {
			return DeviceInactive.New("The terminal is %s, or its store is closed.", t.Status).With("error", "unauthorized_client")
		}
		return q.InsertAssertion(ctx, portaldb.InsertAssertionParams{ClientID: client, Jti: used.jti, ExpiresAt: used.expiresAt})
	})
	if postgres.IsUnique(err, "client_assertions_pkey") {
		return Terminal{}, invalidClient("its jti was used before")
	}
	return t, err
}

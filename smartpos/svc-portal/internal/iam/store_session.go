package iam

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/portaldb"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/audit"
)

// rotate exchanges a refresh token. What it refuses may change something (a reused token ends the session), so the refusal is
// carried past the commit.
func (d *DB) rotate(ctx context.Context, token, next string) (user User, session uuid.UUID, err error) {
	var refusal error
	err = postgres.InTx(ctx, d.Pool, loginScope, "portal.refresh", func(ctx context.Context, tx pgx.Tx) error {
		q, now := portaldb.New(tx), d.Clock()
		refusal = nil
		row, err := q.LockRefreshToken(ctx, hashOf(token))
		if postgres.IsNoRows(err) {
			refusal = invalidRefresh()
			return nil
		}
		if err != nil {
			return err
		}
		user, session = userOf(row.PortalUser), row.PortalSession.ID
		may, err := q.UserMaySignIn(ctx, user.ID)
		if err != nil {
			return err
		}
		s := row.PortalSession
		switch {
		case s.EndedAt != nil || !now.Before(s.ExpiresAt):
			refusal = invalidRefresh()
			return nil
		case row.UsedAt != nil:
			refusal = RefreshReused.New("This refresh token was exchanged before; the session has been ended. Sign in again.")
			return d.end(ctx, tx, user, session, "refresh_reused", audit.Anonymous(), now)
		case !now.Before(row.ExpiresAt):
			refusal = invalidRefresh()
			return nil
		case !may:
			refusal = invalidRefresh()
			return d.end(ctx, tx, user, session, "user_changed", audit.User(user.ID), now)
		}
		return succeed(ctx, q, row, token, next, now)
	})
	if err == nil {
		err = refusal
	}
	return user, session, err
}

func invalidRefresh() error {
	return InvalidRefresh.New("The refresh token is unknown, over, or of a session that has ended. Sign in again.")
}

func succeed(ctx context.Context, q *portaldb.Queries, row portaldb.LockRefreshTokenRow, token, next string, now time.Time) error {
	if err := q.UseRefreshToken(ctx, portaldb.UseRefreshTokenParams{TokenHash: hashOf(token), Now: &now}); err != nil {
		return err
	}
	if err := q.InsertRefreshToken(ctx, portaldb.InsertRefreshTokenParams{
		TokenHash: hashOf(next), SessionID: row.PortalSession.ID, Now: now, ExpiresAt: earlier(now.Add(refreshLife), row.PortalSession.ExpiresAt),
	}); err != nil {
		return err
	}
	return q.TouchSession(ctx, portaldb.TouchSessionParams{ID: row.PortalSession.ID, Now: now})
}

// end ends a session of the user; one that has ended already, or is not theirs, is left alone.
func (d *DB) end(ctx context.Context, tx pgx.Tx, user User, session uuid.UUID, reason string, actor audit.Actor, now time.Time) error {
	_, err := portaldb.New(tx).EndSession(ctx, portaldb.EndSessionParams{ID: session, UserID: user.ID, Now: &now, Reason: &reason})
	if postgres.IsNoRows(err) {
		return nil
	}
	if err != nil {
		return err
	}
	e := user.entry("session.end", nil, map[string]any{"session": session, "reason": reason})
	e.Actor = actor
	return audit.Add(ctx, tx, now, e)
}

// Logout ends the session of the refresh token. Whatever the token is, the caller is signed out afterwards.
func (d *DB) Logout(ctx context.Context, token string) error {
	return postgres.InTx(ctx, d.Pool, loginScope, "portal.logout", func(ctx context.Context, tx pgx.Tx) error {
		row, err := portaldb.New(tx).LockRefreshToken(ctx, hashOf(token))
		if postgres.IsNoRows(err) {
			return nil
		}
		if err != nil {
			return err
		}
		user := userOf(row.PortalUser)
		return d.end(ctx, tx, user, row.PortalSession.ID, "logout", audit.User(user.ID), d.Clock())
	})
}

// Sessions lists a user's sessions that go on, newest first.
func (d *DB) Sessions(ctx context.Context, scope postgres.Scope, userID uuid.UUID, current string, before *uuid.UUID, size int32) ([]Session, error) {
	var all []Session
	err := postgres.InReadTx(ctx, d.Pool, scope, "portal.session.list", func(ctx context.Context, tx pgx.Tx) error {
		q := portaldb.New(tx)
		if _, err := q.User(ctx, userID); err != nil {
			return found(err, userID)
		}
		rows, err := q.ListSessions(ctx, portaldb.ListSessionsParams{UserID: userID, Now: d.Clock(), Before: before, PageSize: size})
		for _, r := range rows {
			all = append(all, Session{
				ID: r.ID, CreatedAt: wire.At(r.CreatedAt), LastUsedAt: wire.At(r.LastUsedAt), ExpiresAt: wire.At(r.ExpiresAt), IP: r.Ip,
				UserAgent: r.UserAgent, Current: r.ID.String() == current,
			})
		}
		return err
	})
	return all, err
}

// EndSession ends one session of a user.
func (d *DB) EndSession(ctx context.Context, scope postgres.Scope, userID, session uuid.UUID) error {
	return postgres.InTx(ctx, d.Pool, scope, "portal.session.end", func(ctx context.Context, tx pgx.Tx) error {
		q, now, reason := portaldb.New(tx), d.Clock(), "ended"
		row, err := q.User(ctx, userID)
		if err != nil {
			return found(err, userID)
		}
		_, err = q.EndSession(ctx, portaldb.EndSessionParams{ID: session, UserID: userID, Now: &now, Reason: &reason})
		if postgres.IsNoRows(err) {
			return problem.NotFound.New("There is no session %s that goes on.", session)
		}
		if err != nil {
			return err
		}
		return audit.Add(ctx, tx, now, userOf(row).entry("session.end", nil, map[string]any{"session": session, "reason": reason}))
	})
}

// EndSessions signs a user out everywhere.
func (d *DB) EndSessions(ctx context.Context, scope postgres.Scope, userID uuid.UUID, allowed func(User) error) error {
	return postgres.InTx(ctx, d.Pool, scope, "portal.session.end_all", func(ctx context.Context, tx pgx.Tx) error {
		now := d.Clock()
		row, err := portaldb.New(tx).User(ctx, userID)
		if err != nil {
			return found(err, userID)
		}
		user := userOf(row)
		if err := allowed(user); err != nil {
			return err
		}
		if err := d.endAll(ctx, tx, userID, "ended", now); err != nil {
			return err
		}
		return audit.Add(ctx, tx, now, user.entry("session.end_all", nil, nil))
	})
}

// replacePassword sets a user's new password, forgets the attempt that proved the old one, and ends the other sessions.
func (d *DB) replacePassword(ctx context.Context, u User, hash, keep string, a attempt) error {
	return postgres.InTx(ctx, d.Pool, loginScope, "portal.user.password", func(ctx context.Context, tx pgx.Tx) error {
		q, now, reason := portaldb.New(tx), d.Clock(), "user_changed"
		if err := uncount(ctx, q, a); err != nil {
			return err
		}
		if err := q.SetPassword(ctx, portaldb.SetPasswordParams{UserID: u.ID, PasswordHash: hash, Now: now}); err != nil {
			return err
		}
		kept, _ := uuid.Parse(keep) // a token without a session keeps none
		if err := q.EndOtherSessions(ctx, portaldb.EndOtherSessionsParams{UserID: u.ID, Keep: kept, Now: &now, Reason: &reason}); err != nil {
			return err
		}
		return audit.Add(ctx, tx, now, u.entry("user.password_change", nil, nil))
	})
}

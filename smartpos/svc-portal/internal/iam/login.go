package iam

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/audit"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/signing"
)

// Service signs people in.
type Service struct {
	DB     *DB
	Hasher *Hasher
	Ring   *signing.Ring
}

// Outcome of the password step: tokens, or a challenge that asks for the second factor.
type Outcome struct {
	Tokens    *Tokens
	Challenge string
	// EnrolmentRequired: the role must have a second factor and this user has none yet.
	EnrolmentRequired bool
}

// account names what was typed as an e-mail address, whether or not there is such a user.
type account [sha256.Size]byte

func accountOf(email string) account { return sha256.Sum256([]byte("login\x00" + email)) }

// attempt is one try at an account from one source. The account counts as failed from the moment it begins, so that a
// hundred tries at once are a hundred tries.
type attempt struct {
	account account
	source  string
	known   bool // the source is a browser that the user has signed in from
}

// sources under which a failure of the attempt is counted.
func (a attempt) sources() []string {
	if a.known {
		return []string{a.source}
	}
	return []string{a.source, everySource}
}

// begin says which account is tried from where.
func (s *Service) begin(ctx context.Context, email, known string) (attempt, error) {
	a := attempt{account: accountOf(email), source: "ip:" + audit.OriginOf(ctx).IP}
	if known == "" {
		return a, nil
	}
	isKnown, err := s.DB.knownDevice(ctx, known, email)
	if err != nil {
		return attempt{}, err
	}
	if isKnown {
		a.source, a.known = "device:"+hex.EncodeToString(hashOf(known)[:16]), true
	}
	return a, nil
}

// locked words the wait; nil when there is none.
func locked(wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	seconds := int64((wait + time.Second - 1) / time.Second)
	return LoginLocked.New("Too many attempts; try again in %d seconds.", seconds).
		WithHeader("Retry-After", strconv.FormatInt(seconds, 10))
}

// Login takes the password. InvalidCredentials and LoginLocked say the same, at the same cost, whether there is such an
// account or not, and whether it is active.
func (s *Service) Login(ctx context.Context, email, password, known string) (Outcome, error) {
	email = normalEmail(email)
	try, err := s.begin(ctx, email, known)
	if err != nil {
		return Outcome{}, err
	}
	if err := s.DB.countAttempt(ctx, try); err != nil {
		return Outcome{}, err
	}
	found, err := s.DB.candidate(ctx, email)
	if err != nil {
		return Outcome{}, err
	}
	ok, err := s.Hasher.matches(ctx, password, found.passwordHash)
	if err != nil {
		return Outcome{}, err
	}
	if !ok || !found.mayEnter {
		return Outcome{}, InvalidCredentials.New("The e-mail address or the password is not right.")
	}
	if found.user.Role.MustHaveMFA() || found.enrolled {
		token := newToken(challengePrefix)
		err := s.DB.challenge(ctx, try, found.user.ID, token)
		return Outcome{Challenge: token, EnrolmentRequired: !found.enrolled}, err
	}
	tokens, err := s.enter(ctx, try, found.user, nil)
	return Outcome{Tokens: tokens}, err
}

// Enrolment is what the user's authenticator app needs.
type Enrolment struct{ Secret, URL string }

// Enrol begins the enrolment of a second factor, between the password and the first code. AlreadyEnrolled: whoever knows the
// password alone cannot replace a second factor.
func (s *Service) Enrol(ctx context.Context, challenge string) (Enrolment, error) {
	secret := newTOTPSecret()
	email, err := s.DB.beginTOTP(ctx, challenge, secret)
	return Enrolment{Secret: secret, URL: otpauthURL(email, secret)}, err
}

// Verify takes the second factor's code and ends the sign-in. A code is taken once, also when it is shown twice at once.
func (s *Service) Verify(ctx context.Context, challenge, code, known string) (*Tokens, error) {
	user, err := s.DB.challenged(ctx, challenge)
	if err != nil {
		return nil, err
	}
	try, err := s.begin(ctx, user.Email, known)
	if err != nil {
		return nil, err
	}
	secret, err := s.DB.countCode(ctx, try, challenge)
	if err != nil {
		return nil, err
	}
	step, ok := totpStep(secret, code, s.DB.Clock())
	if !ok {
		return nil, invalidCode()
	}
	return s.enter(ctx, try, user, &secondFactor{challenge: challenge, step: step})
}

func invalidCode() error { return InvalidCode.New("The code is not right, or was used already.") }

// secondFactor is a code that was found right and has yet to be used up.
type secondFactor struct {
	challenge string
	step      int64
}

// enter opens a session: all that a sign-in leaves behind is one transaction.
func (s *Service) enter(ctx context.Context, try attempt, user User, factor *secondFactor) (*Tokens, error) {
	entry := entry{session: s.DB.newID(), user: user, refresh: newToken(refreshPrefix), factor: factor, attempt: try}
	if !try.known {
		entry.known = newToken(knownPrefix)
	}
	jwt, err := s.accessToken(ctx, user, entry.session)
	if err != nil {
		return nil, err
	}
	if err := s.DB.enter(ctx, entry); err != nil {
		return nil, err
	}
	return &Tokens{Access: jwt, Refresh: entry.refresh, Known: entry.known}, nil
}

// entry is what a sign-in leaves behind.
type entry struct {
	session        uuid.UUID
	user           User
	refresh, known string // known: "" when the browser is known already
	factor         *secondFactor
	attempt        attempt
}

// Refresh exchanges a refresh token for its successor and a new access token, with the user's present role and tenant.
// RefreshReused: it was exchanged before, so somebody has a copy, and the session is over.
func (s *Service) Refresh(ctx context.Context, refresh string) (*Tokens, error) {
	next := newToken(refreshPrefix)
	user, session, err := s.DB.rotate(ctx, refresh, next)
	if err != nil {
		return nil, err
	}
	jwt, err := s.accessToken(ctx, user, session)
	if err != nil {
		return nil, err
	}
	return &Tokens{Access: jwt, Refresh: next}, nil
}

func (s *Service) accessToken(ctx context.Context, u User, session uuid.UUID) (string, error) {
	claims := jwt.NewBuilder().Subject(u.ID.String()).JwtID(uuid.NewString()).Claim("role", string(u.Role)).Claim("sid", session.String())
	for name, id := range map[string]*uuid.UUID{"psp_id": u.PSPID, "merchant_id": u.MerchantID, "store_id": u.StoreID} {
		if id != nil {
			claims = claims.Claim(name, id.String())
		}
	}
	token, err := s.Ring.Sign(ctx, signing.Human, claims)
	if err != nil {
		return "", problem.Unavailable.New("No token can be issued just now.").Wrap(err)
	}
	return token, nil
}

// ChangePassword is a user's own: the present password is asked for, under the same lockout as a sign-in, and all other sessions end.
func (s *Service) ChangePassword(ctx context.Context, caller access.Principal, present, wanted string) error {
	user, err := s.DB.User(ctx, caller.Scope(), caller.UserID)
	if err != nil {
		return err
	}
	if err := checkPassword("new_password", wanted, user.Email); err != nil {
		return err
	}
	try, err := s.begin(ctx, user.Email, "")
	if err != nil {
		return err
	}
	if err := s.DB.countAttempt(ctx, try); err != nil {
		return err
	}
	found, err := s.DB.candidate(ctx, user.Email)
	if err != nil {
		return err
	}
	if ok, err := s.Hasher.matches(ctx, present, found.passwordHash); err != nil || !ok {
		if err != nil {
			return err
		}
		return InvalidCredentials.New("The present password is not right.")
	}
	hash, err := s.Hasher.hash(ctx, wanted)
	if err != nil {
		return fmt.Errorf("hash: %w", err)
	}
	return s.DB.replacePassword(ctx, user, hash, caller.SessionID, try)
}

package iam

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"
)

// SeedOperator makes the platform's first SYSTEM_OP; made is false when there is a user of that address already. totpSecret may be
// empty: then the second factor is enrolled at the first sign-in.
func SeedOperator(ctx context.Context, db *DB, hasher *Hasher, email, password, totpSecret string) (made bool, err error) {
	email = normalEmail(email)
	if !strings.Contains(email, "@") {
		return false, errors.New("SEED_ADMIN_EMAIL is no e-mail address")
	}
	if n := utf8.RuneCountInString(password); n < shortestPassword || n > longestPassword {
		return false, errors.New("SEED_ADMIN_PASSWORD must have 10 to 200 characters")
	}
	if err := checkPassword("SEED_ADMIN_PASSWORD", password, email); err != nil {
		return false, err
	}
	if totpSecret != "" && !validTOTPSecret(totpSecret) {
		return false, errors.New("SEED_ADMIN_TOTP_SECRET is no base32 of 128 bits or more")
	}
	hash, err := hasher.hash(ctx, password)
	if err != nil {
		return false, err
	}
	return db.Seed(ctx, User{Email: email, Name: "Platform operator"}, hash, strings.ToUpper(totpSecret))
}

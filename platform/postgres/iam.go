package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/rds/auth"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Ways to log in.
const (
	authPassword = "password"
	authIAM      = "iam"
)

// logIn makes the pool's connections log in as the configuration says. By IAM each connection takes a token of its own: it lives
// a quarter of an hour, and an open connection outlives it.
func logIn(ctx context.Context, how string, pc *pgxpool.Config) error {
	switch how {
	case authPassword, "":
		return nil
	case authIAM:
	default:
		return fmt.Errorf("DATABASE_AUTH: %q is neither %s nor %s", how, authPassword, authIAM)
	}
	if tls := pc.ConnConfig.TLSConfig; tls == nil || tls.InsecureSkipVerify {
		return errors.New("DATABASE_AUTH=iam needs sslmode=verify-full in DATABASE_URL: a token is not shown to a server that nobody verifies")
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("DATABASE_AUTH=iam: %w", err)
	}
	if cfg.Region == "" {
		return errors.New("DATABASE_AUTH=iam needs AWS_REGION")
	}
	pc.BeforeConnect = tokens(cfg.Region, cfg.Credentials)
	return nil
}

// tokens puts an RDS token in place of a password. It is signed here; nothing is asked over the network but the credentials.
func tokens(region string, credentials aws.CredentialsProvider) func(context.Context, *pgx.ConnConfig) error {
	return func(ctx context.Context, cc *pgx.ConnConfig) error {
		token, err := auth.BuildAuthToken(ctx, fmt.Sprintf("%s:%d", cc.Host, cc.Port), region, cc.User, credentials)
		if err != nil {
			return fmt.Errorf("database token: %w", err)
		}
		cc.Password = token
		return nil
	}
}

// Connect opens a connection outside the pool that logs in as the pool's do, for what holds one for good (LISTEN).
func Connect(ctx context.Context, db *pgxpool.Pool) (*pgx.Conn, error) {
	cfg := db.Config()
	if cfg.BeforeConnect != nil {
		if err := cfg.BeforeConnect(ctx, cfg.ConnConfig); err != nil {
			return nil, err
		}
	}
	return pgx.ConnectConfig(ctx, cfg.ConnConfig)
}

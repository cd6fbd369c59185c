package postgres

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/config"
)

func TestTokensStandInForThePassword(t *testing.T) {
	t.Parallel()
	cc, err := pgx.ParseConfig("postgres://svc_portal@db.example.com:5432/mpacdb?sslmode=verify-full")
	if err != nil {
		t.Fatal(err)
	}
	give := tokens("ap-northeast-1", credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "example", ""))
	if err := give(context.Background(), cc); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"db.example.com:5432", "Action=connect", "DBUser=svc_portal", "ap-northeast-1", "X-Amz-Signature="} {
		if !strings.Contains(cc.Password, part) {
			t.Errorf("the token %q lacks %q", cc.Password, part)
		}
	}
	first := cc.Password
	if err := give(context.Background(), cc); err != nil || cc.Password == "" {
		t.Fatalf("a second connection: %v", err)
	}
	if strings.Contains(first, "example@") {
		t.Error("the token holds the secret key")
	}
}

func TestLogIn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ how, url, wrong string }{
		{"password", "postgres://u:p@127.0.0.1/db", ""},
		{"", "postgres://u:p@127.0.0.1/db", ""},
		{"kerberos", "postgres://u@127.0.0.1/db", "neither password nor iam"},
		{"iam", "postgres://u@127.0.0.1/db?sslmode=disable", "verify-full"},
		{"iam", "postgres://u@127.0.0.1/db?sslmode=require", "verify-full"},
	} {
		pc, err := pgxpool.ParseConfig(c.url)
		if err != nil {
			t.Fatal(err)
		}
		err = logIn(context.Background(), c.how, pc)
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s at %s: %v, want %q", c.how, c.url, err, c.wrong)
		}
	}
}

func TestMigratePassword(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ url, password, want string }{
		{"postgres://owner:old@h:5432/db?sslmode=verify-full", "", "postgres://owner:old@h:5432/db?sslmode=verify-full"},
		{"postgres://owner@h:5432/db?sslmode=verify-full", "p@ss/w:rd#%", "p@ss/w:rd#%"},
	} {
		got, err := MigrateConfig{URL: c.url, Password: config.Secret(c.password)}.Address()
		if err != nil {
			t.Fatal(err)
		}
		if c.password == "" {
			if got != c.want {
				t.Errorf("%s became %s", c.url, got)
			}
			continue
		}
		cc, err := pgx.ParseConfig(got)
		if err != nil || cc.Password != c.want || cc.User != "owner" {
			t.Errorf("the password came out as %q (%v)", cc.Password, err)
		}
	}
	if _, err := (MigrateConfig{URL: "host=h user=owner", Password: "x"}).Address(); err == nil {
		t.Error("a password beside an address that is no URL must be refused")
	}
}

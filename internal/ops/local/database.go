package local

import (
	"fmt"
	"net/url"

	"github.com/mpac-cloud/mpac/internal/ops/machine"
)

// Database is one of the platform's two, with its owner.
type Database struct{ Name, Owner string }

// The two databases. Nothing in one refers to the other.
var (
	Smartpos = Database{Name: "mpacdb", Owner: "mpac_owner"}
	PGW      = Database{Name: "pgw", Owner: "pgw_owner"}
)

// DatabaseURL is the address of a database for a role; for the role "" that of the server's superuser, or, where the
// database was given, as it was given.
func (p *Platform) DatabaseURL(d Database, role string) string {
	given := map[Database]string{Smartpos: p.SmartposDatabaseURL, PGW: p.PGWDatabaseURL}[d]
	if given == "" {
		u := url.URL{Scheme: "postgres", Host: Address(PortsFrom(p.PortBase).Postgres), Path: "/" + d.Name, RawQuery: "sslmode=disable"}
		u.User = url.UserPassword(machine.Superuser, p.PostgresPassword)
		if role != "" {
			u.User = url.UserPassword(role, p.RolePasswords[role])
		}
		return u.String()
	}
	if role == "" || role == d.Owner {
		return given
	}
	u, err := url.Parse(given)
	if err != nil {
		return given // checked by CheckURLs
	}
	u.User = url.UserPassword(role, p.RolePasswords[role])
	return u.String()
}

// OwnDatabases reports whether the platform runs a PostgreSQL of its own.
func (p *Platform) OwnDatabases() bool { return p.SmartposDatabaseURL == "" }

// Redis is the address of the cache.
func (p *Platform) Redis() string {
	if p.RedisURL != "" {
		return p.RedisURL
	}
	// By its name: redis-cli takes no address without one.
	u := url.URL{Scheme: "redis", User: url.UserPassword("default", p.RedisPassword), Host: Address(PortsFrom(p.PortBase).Redis), Path: "/0"}
	return u.String()
}

// CheckURLs holds the given addresses against what the platform can do with them. The error never repeats an address: it has a password.
func (p *Platform) CheckURLs() error {
	if (p.SmartposDatabaseURL == "") != (p.PGWDatabaseURL == "") {
		return fmt.Errorf("give both --smartpos-database-url and --pgw-database-url, or neither")
	}
	for name, text := range map[string]string{"--smartpos-database-url": p.SmartposDatabaseURL, "--pgw-database-url": p.PGWDatabaseURL} {
		u, err := url.Parse(text)
		if text != "" && (err != nil || u.Host == "" || u.Scheme != "postgres" && u.Scheme != "postgresql") {
			return fmt.Errorf("%s is not postgres://user:password@host:port/database", name)
		}
	}
	if u, err := url.Parse(p.RedisURL); p.RedisURL != "" && (err != nil || u.Host == "" || u.Scheme != "redis" && u.Scheme != "rediss") {
		return fmt.Errorf("--redis-url is not redis://[:password@]host:port/number")
	}
	return nil
}

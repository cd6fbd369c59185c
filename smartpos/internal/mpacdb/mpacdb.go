// Package mpacdb is the database that svc-portal and svc-smarttab share: one history of migrations; each owner's queries are in
// portaldb and smarttabdb.
package mpacdb

import (
	"embed"
	"io/fs"

	"github.com/mpac-cloud/mpac/platform/postgres"
)

//go:embed migrations/*.sql
var files embed.FS

// The roles that log in, and the schemas of each service's jobs.
const (
	RolePortal        = "svc_portal"
	RoleSmarttab      = "svc_smarttab"
	PortalJobSchema   = "portal_river"
	SmarttabJobSchema = "smarttab_river"
)

// Migration is the history of the shared database.
func Migration() postgres.Migration {
	migrations, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return postgres.Migration{
		Files: migrations,
		Queues: []postgres.JobQueue{
			{Schema: PortalJobSchema, Role: RolePortal},
			{Schema: SmarttabJobSchema, Role: RoleSmarttab},
		},
		Roles: []string{RolePortal, RoleSmarttab},
	}
}

package drills_test

// figures are the drills of what services read from their databases for the metrics.
var figures = []batch{{figuresFailing}}

var figuresFailing = drill{
	Alert: "FiguresFailing",
	Fault: "The role of pgw-backend loses the right to read the table pgw.recon_runs, as by a slip in a migration.",
	Inject: func(s *stage) {
		s.SQL("pgw", "revoke select on pgw.recon_runs from pgw_backend")
		s.Afterwards("pgw", "grant select on pgw.recon_runs to pgw_backend")
	},
	Steps: func(s *stage) {
		s.Logs(`{service_name="pgw-backend"} |= "figures can't be read"`)
		s.Sees(`grep -h "figures can't be read" .mpac/logs/pgw-backend.log | tail -n 3 | jq -r '[.read, .error] | join(": ")'`, "reconciliation: ", "permission denied for table recon_runs")
		s.Sees(`psql "$MPAC_PGW_DATABASE_URL" -c "select a.pid, a.usename, a.client_addr, a.backend_start, a.state from pg_locks l join pg_stat_activity a using (pid) where l.locktype = 'advisory' and l.objsubid = 1 and l.database = (select oid from pg_database where datname = current_database())"`, "pgw_backend")
		s.Runbook("mpac run pgw-backend ledger check")
		s.Runbook(`psql "$MPAC_PGW_DATABASE_URL" -c 'grant select on pgw.recon_runs to pgw_backend'`)
		s.Runbook("mpac run matcher runs")
	},
}

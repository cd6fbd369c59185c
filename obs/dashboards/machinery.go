package dashboards

import "strings"

func service() *Dashboard {
	const s = `service_name="$service"`
	return page("service", "Service RED", "One service: rate, errors, duration of its routes, what it calls, and its log.", []any{choice("service", "service_name", "http_server_request_duration_seconds_count")},
		row{"$service", 4, []*Panel{
			stat("Requests", "Requests a second.", "reqps", `sum(rate(http_server_request_duration_seconds_count{`+s+`}[$__rate_interval]))`),
			stat("Errors", "Share answered with an error of ours; the target is 0.5%.", "percentunit", `service:http_errors:ratio_rate5m{`+s+`}`, warn(0.005), alarm(0.01)),
			stat("p50", "Half of the requests are faster.", "s", `service:http_latency:p50_5m{`+s+`}`, warn(0.2)),
			stat("p95", "95 of 100 requests are faster.", "s", `service:http_latency:p95_5m{`+s+`}`, warn(0.2), alarm(0.5)),
			stat("p99", "99 of 100 requests are faster.", "s", `service:http_latency:p99_5m{`+s+`}`, warn(0.5), alarm(1)),
			stat("Under way", "Requests that are being worked now.", "none", `sum(http_server_active_requests{`+s+`})`),
		}},
		row{"Rate, errors, duration by route", 10, []*Panel{
			graph("Rate", "Requests a second, by route.", "reqps", nil, q{`sum by (http_route) (rate(http_server_request_duration_seconds_count{` + s + `}[$__rate_interval]))`, "{{http_route}}"}),
			graph("Statuses", "Answers a second, by status. 5xx are our errors, 4xx the callers'.", "reqps", nil, q{`sum by (http_response_status_code) (rate(http_server_request_duration_seconds_count{` + s + `}[$__rate_interval]))`, "{{http_response_status_code}}"}),
			traced(graph("Duration (p95)", "95th percentile by route; dots lead to traces. The feed, which waits on purpose, is left out.", "s", []at{warn(0.2), alarm(0.5)}, q{percentile(0.95, "http_route", "http_server_request_duration_seconds", s+`, http_route!="/v1/events"`), "{{http_route}}"})),
		}},
		row{"What it waits for", 8, []*Panel{
			graph("Database statements", "Time of statements: half and 95 of 100 are faster. The target of p95 is 50 ms.", "s", []at{alarm(0.05)},
				percentiles("db_client_operation_duration_seconds", s+`, pgx_operation_type="query"`, 0.5, 0.95)...),
			graph("Database pool", "Connections of all its tasks, by state, and how many there may be.", "none", nil,
				q{`sum by (state) (mpac_db_pool_connections{` + s + `})`, "{{state}}"}, q{`sum(mpac_db_pool_limit{` + s + `})`, "limit"}),
			graph("Redis commands", "Time of Redis commands (p95), by outcome.", "s", nil, q{percentile(0.95, "outcome", "mpac_redis_command_duration_seconds", s), "{{outcome}}"}),
			graph("Jobs", "Jobs worked a second, by kind and outcome.", "cps", nil, q{`sum by (kind, outcome) (rate(mpac_jobs_duration_seconds_count{` + s + `}[$__rate_interval]))`, "{{kind}} {{outcome}}"}),
			graph("Oldest job", "Age of the oldest job that is due and not taken; two minutes make a ticket.", "s", []at{warn(60), alarm(120)}, q{`max by (queue) (mpac_jobs_oldest_age_seconds{` + s + `})`, "{{queue}}"}),
		}},
		row{"Log", 10, []*Panel{
			graph("Lines", "Log lines a second, by level.", "cps", nil, q{`sum by (level) (rate(mpac_log_lines_total{` + s + `}[$__rate_interval]))`, "{{level}}"}),
			lines("Newest lines", "What it says; a line with a trace id leads to its trace.", `{service_name="$service"} | line_format "{{.severity_text}} {{__line__}} {{.method}} {{.route}} {{.status}}"`),
			lines("Errors and warnings", "What went wrong; rightly empty while nothing does.", `{service_name="$service"} | severity_text=~"ERROR|WARN"`),
		}},
	)
}

func postgresql() *Dashboard {
	by := func(expr string) q { return q{expr, "{{database}}"} }
	return page("postgresql", "PostgreSQL", "Both databases as the services that own them see them; RDS's own figures are on the dashboard Cloud.", nil,
		row{"Now", 4, []*Panel{
			stat("Connections", "The fuller database's share of its connections. 80% makes a ticket.", "percentunit", `max(sum by (database) (mpac_postgres_connections) / max by (database) (mpac_postgres_connections_limit))`, warn(0.6), alarm(0.8)),
			stat("Oldest transaction", "Five minutes make a ticket.", "s", `max(mpac_postgres_transaction_oldest_age_seconds)`, warn(60), alarm(300)),
			stat("Locks waited for", "Locks that somebody waits for now.", "none", `sum(mpac_postgres_locks_waiting)`, warn(5), alarm(50)),
			stat("Read from memory", "Share of blocks found in the server's memory.", "percentunit",
				`sum(rate(mpac_postgres_blocks_total{source="hit"}[5m])) / sum(rate(mpac_postgres_blocks_total[5m]))`, at{0, act}, at{0.9, look}, at{0.98, well}),
			stat("Deadlocks", "Deadlocks over the range shown; each was repeated.", "none", `sum(increase(mpac_postgres_deadlocks_total[$__range]))`, warn(1)),
			stat("Way to wraparound", "The older database's share of the transactions before it must be frozen.", "percentunit", `max(mpac_postgres_wraparound_age) / 2e9`, warn(0.2), alarm(0.5)),
		}},
		row{"Work", 9, []*Panel{
			graph("Transactions", "Transactions a second, by outcome.", "cps", nil, q{`sum by (database, outcome) (rate(mpac_postgres_transactions_total[$__rate_interval]))`, "{{database}} {{outcome}}"}),
			graph("Rows", "Rows a second, by operation.", "rowsps", nil, q{`sum by (database, operation) (rate(mpac_postgres_rows_total[$__rate_interval]))`, "{{database}} {{operation}}"}),
			graph("Statements (p95)", "As services wait for them; the target is 50 ms.", "s", []at{alarm(0.05)}, q{percentile(0.95, "service_name", "db_client_operation_duration_seconds", `pgx_operation_type="query"`), "{{service_name}}"}),
		}},
		row{"Room", 9, []*Panel{
			graph("Connections by state", "Connections to each database.", "none", nil, q{`sum by (database, state) (mpac_postgres_connections)`, "{{database}} {{state}}"}),
			graph("Wait for the pool", "Seconds a second that requests wait for a connection of their task's pool.", "percentunit", []at{warn(0.1)}, q{`sum by (service_name) (rate(mpac_db_pool_wait_seconds_total[$__rate_interval]))`, "{{service_name}}"}),
			graph("Size", "Bytes of each database.", "bytes", nil, by(`max by (database) (mpac_postgres_size_bytes)`)),
			graph("Dead rows", "Rows that vacuum has yet to remove.", "none", nil, by(`max by (database) (mpac_postgres_tuples_dead)`)),
			graph("Rows without a partition", "Rows in DEFAULT partitions; always 0.", "none", []at{warn(1)}, by(`sum by (database) (mpac_partition_strays)`)),
			graph("Repeated transactions", "Transactions run again after they lost a fight for a row, a minute.", "none", nil, q{`60 * sum by (service_name) (rate(mpac_db_transactions_repeated_total[$__rate_interval]))`, "{{service_name}}"}),
		}},
	)
}

func redis() *Dashboard {
	return page("redis", "Redis", "Both systems' Redis. It makes things fast; losing it loses nothing.", nil,
		row{"Now", 4, []*Panel{
			stat("Memory", "The fuller one's share of its memory. 90% makes a ticket.", "percentunit", `max(mpac_redis_memory_bytes / mpac_redis_memory_limit_bytes)`, warn(0.7), alarm(0.9)),
			stat("Clients", "Connections to both.", "none", `sum(mpac_redis_clients)`),
			stat("Commands", "Commands a second.", "cps", `sum(rate(mpac_redis_commands_total[$__rate_interval]))`),
			stat("Evicted", "Keys evicted for want of memory over the range shown.", "none", `sum(increase(mpac_redis_evicted_total[$__range]))`, alarm(1)),
			stat("Counted alone", "Requests whose limit a task counted by itself because Redis did not answer, over the range shown.", "none", `sum(increase(mpac_limiter_local_total[$__range]))`, warn(1)),
		}},
		row{"Work", 9, []*Panel{
			graph("Commands by system", "Commands a second, by system.", "cps", nil, q{`sum by (system) (rate(mpac_redis_commands_total[$__rate_interval]))`, "{{system}}"}),
			graph("Time of commands (p95)", "As services wait for them.", "s", []at{warn(0.01)}, q{percentile(0.95, "service_name", "mpac_redis_command_duration_seconds", ""), "{{service_name}}"}),
			graph("Found", "Share of lookups that found their key.", "percentunit", nil, q{`sum by (system) (rate(mpac_redis_hits_total[5m])) / clamp_min(sum by (system) (rate(mpac_redis_hits_total[5m])) + sum by (system) (rate(mpac_redis_misses_total[5m])), 0.001)`, "{{system}}"}),
		}},
		row{"Room", 9, []*Panel{
			graph("Memory by system", "Bytes used.", "bytes", nil, q{`max by (system) (mpac_redis_memory_bytes)`, "{{system}}"}),
			graph("Keys", "Keys held.", "none", nil, q{`max by (system) (mpac_redis_keys)`, "{{system}}"}),
			graph("Pools", "Connections of the services' pools, by state.", "none", nil, q{`sum by (service_name, state) (mpac_redis_pool_connections)`, "{{service_name}} {{state}}"}),
			graph("Requests refused by limits", "Requests that were over a limit, a minute.", "none", nil, q{`60 * sum by (service_name, limit) (rate(mpac_limiter_refused_total[$__rate_interval]))`, "{{service_name}} {{limit}}"}),
		}},
	)
}

// serving are the processes that stay. The matcher and other commands come and go; what an ended one said last would be counted for
// five minutes more.
const serving = `service_name=~"svc-portal|svc-smarttab|pgw-backend|edge|kong|sandbox"`

func runtime() *Dashboard {
	by := func(expr string) q { return q{strings.ReplaceAll(expr, "SERVING", serving), "{{service_name}}"} }
	return page("runtime", "Runtime", "The processes that serve: processor, memory, goroutines, restarts.", nil,
		row{"Processes", 8, []*Panel{
			bars("Uptime", "Since the youngest task of each service started.", "s", nil, by(`min by (service_name) (mpac_process_uptime_seconds{SERVING})`)),
			bars("Tasks", "Tasks of each service that tell of themselves.", "none", nil, by(`count by (service_name) (mpac_process_uptime_seconds{SERVING})`)),
			table("Versions", "What runs.", "none", by(`count by (service_name, service_version) (mpac_process_uptime_seconds{SERVING})`)),
			stat("Panics", "Handlers that panicked over the range shown.", "none", `sum(increase(mpac_panics_total[$__range]))`, alarm(1)),
		}},
		row{"Use", 9, []*Panel{
			graph("Processor", "Processors in use by all tasks: 100% is one of them.", "percentunit", nil, by(`sum by (service_name) (rate(mpac_process_cpu_time_seconds_total{SERVING}[$__rate_interval]))`)),
			graph("Memory", "Resident bytes, all tasks.", "bytes", nil, by(`sum by (service_name) (mpac_process_memory_bytes{SERVING})`)),
			graph("Goroutines", "Goroutines, all tasks.", "none", []at{warn(10000)}, by(`sum by (service_name) (go_goroutine_count{SERVING})`)),
		}},
		row{"Go", 9, []*Panel{
			graph("Allocated", "Bytes allocated a second.", "Bps", nil, by(`sum by (service_name) (rate(go_memory_allocated_bytes_total{SERVING}[$__rate_interval]))`)),
			graph("Heap's goal", "Heap at which the collector next runs.", "bytes", nil, by(`sum by (service_name) (go_memory_gc_goal_bytes{SERVING})`)),
			graph("Processors allowed", "GOMAXPROCS of all tasks.", "none", nil, by(`sum by (service_name) (go_processor_limit{SERVING})`)),
		}},
	)
}

// stack is the observability stack looking at itself.
func stack() *Dashboard {
	return page("obs", "Observability stack", "What shows everything else: is it whole, does it keep up, what does it cost.", nil,
		row{"Whole", 4, []*Panel{
			stat("Targets up", "Parts on the box that Prometheus reaches.", "percentunit", `avg(up)`, at{0, act}, at{1, well}),
			stat("Rules failing", "Evaluations that failed in the last 15 minutes.", "none", `sum(increase(prometheus_rule_evaluation_failures_total[15m]))`, alarm(1)),
			stat("Pages not delivered", "Notifications that failed in the last 15 minutes.", "none", `sum(increase(alertmanager_notifications_failed_total[15m])) or vector(0)`, alarm(1)),
			stat("Dropped by services", "Spans, exports and records dropped in the last 15 minutes.", "none", `sum(increase(mpac_telemetry_dropped_total[15m]))`, warn(1)),
			stat("Figures not read", "Groups of figures that services cannot read from their database or Redis: panels of them are empty, and alerts on them quiet.", "none", `sum(mpac_figures_failing)`, alarm(1)),
			stat("Refused by Alloy", "What the memory limiter refused in the last 15 minutes.", "none", `sum(increase(otelcol_receiver_refused_spans_total[15m])) + sum(increase(otelcol_receiver_refused_metric_points_total[15m])) + sum(increase(otelcol_receiver_refused_log_records_total[15m]))`, warn(1)),
			stat("Series", "Series in Prometheus's head. A t3.medium bears some 180,000 (docs/observability.md).", "none", `prometheus_tsdb_head_series`, warn(120000), alarm(180000)),
		}},
		row{"Flow", 9, []*Panel{
			graph("Taken in", "By Alloy, a second.", "cps", nil,
				q{`sum(rate(otelcol_receiver_accepted_spans_total[$__rate_interval]))`, "spans"}, q{`sum(rate(otelcol_receiver_accepted_metric_points_total[$__rate_interval]))`, "metric points"}, q{`sum(rate(otelcol_receiver_accepted_log_records_total[$__rate_interval]))`, "log lines"}),
			graph("Handed on", "By Alloy to Tempo, Prometheus and Loki, a second.", "cps", nil,
				q{`sum by (exporter) (rate(otelcol_exporter_sent_spans_total[$__rate_interval]))`, "{{exporter}}"}, q{`sum by (exporter) (rate(otelcol_exporter_sent_metric_points_total[$__rate_interval]))`, "{{exporter}}"}, q{`sum by (exporter) (rate(otelcol_exporter_sent_log_records_total[$__rate_interval]))`, "{{exporter}}"}),
			graph("Waiting in Alloy's queues", "Batches that wait, by exporter; 500 is full.", "none", []at{warn(250), alarm(500)}, q{`max by (exporter) (otelcol_exporter_queue_size)`, "{{exporter}}"}),
			graph("Traces kept", "Traces that the tail sampler kept and let go, a second.", "cps", nil, q{`sum by (sampled) (rate(otelcol_processor_tail_sampling_global_count_traces_sampled_total[$__rate_interval]))`, "kept: {{sampled}}"}),
		}},
		row{"Prometheus", 9, []*Panel{
			graph("Samples", "Samples that came in, a second.", "cps", nil, q{`sum(rate(prometheus_tsdb_head_samples_appended_total[$__rate_interval]))`, "samples"}),
			graph("Rules' time", "Time of a round of rules, by group.", "s", []at{warn(5)}, q{`max by (group) (label_replace(prometheus_rule_group_last_duration_seconds, "group", "$1", "rule_group", ".*;(.*)"))`, "{{group}}"}),
			graph("Room", "Bytes of the blocks on the volume.", "bytes", nil, q{`prometheus_tsdb_storage_blocks_bytes + prometheus_tsdb_head_chunks_storage_size_bytes`, "bytes"}),
			graph("Alerts", "Alerts that fire, by severity. Watchdog (none) always does.", "none", nil, q{`count by (severity) (ALERTS{alertstate="firing"})`, "{{severity}}"}),
		}},
		row{"Loki and Alertmanager", 9, []*Panel{
			graph("Log bytes", "Bytes a second that Loki takes.", "Bps", nil, q{`sum(rate(loki_distributor_bytes_received_total[$__rate_interval]))`, "bytes"}),
			graph("Streams", "Streams in Loki's memory: a stream is a set of labels, and there must be few.", "none", []at{warn(500)}, q{`sum(loki_ingester_memory_streams)`, "streams"}),
			graph("Notifications", "Notifications a minute, by way.", "none", nil, q{`60 * sum by (integration) (rate(alertmanager_notifications_total{integration=~"webhook|sns"}[$__rate_interval]))`, "{{integration}}"}),
			graph("Memory", "Resident bytes of the parts.", "bytes", nil, q{`sum by (job) (process_resident_memory_bytes)`, "{{job}}"}),
		}},
	)
}

// cloud is AWS's own figures.
func cloud() *Dashboard {
	db := map[string]string{"DBInstanceIdentifier": "*"}
	return page("cloud", "Cloud", "What AWS measures itself: databases, caches, load balancers. By the CloudWatch data source.", nil,
		row{"RDS", 8, []*Panel{
			aws("Processor", "Of each database; 80% for long is too small a class.", "percent", "AWS/RDS", "CPUUtilization", "Average", db, warn(60), alarm(80)),
			aws("Free storage", "Bytes left on each database's volume.", "bytes", "AWS/RDS", "FreeStorageSpace", "Minimum", db),
			aws("Replication lag", "Seconds that the standby's reader is behind.", "s", "AWS/RDS", "ReplicaLag", "Maximum", db, warn(5), alarm(60)),
		}},
		row{"ElastiCache", 8, []*Panel{
			aws("Engine's processor", "Redis works on one; 90% is its end.", "percent", "AWS/ElastiCache", "EngineCPUUtilization", "Average", map[string]string{"CacheClusterId": "*"}, warn(60), alarm(90)),
			aws("Memory in use", "Share of the node's memory.", "percent", "AWS/ElastiCache", "DatabaseMemoryUsagePercentage", "Average", map[string]string{"CacheClusterId": "*"}, warn(70), alarm(90)),
		}},
		row{"Load balancers", 8, []*Panel{
			aws("Errors of targets", "5xx a minute, by load balancer.", "none", "AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", "Sum", map[string]string{"LoadBalancer": "*"}, warn(10)),
			aws("Time of targets (p95)", "As the load balancer sees it.", "s", "AWS/ApplicationELB", "TargetResponseTime", "p95", map[string]string{"LoadBalancer": "*"}, warn(0.2), alarm(0.5)),
			aws("Targets that are unwell", "Targets that fail /ready.", "none", "AWS/ApplicationELB", "UnHealthyHostCount", "Maximum", map[string]string{"LoadBalancer": "*"}, warn(1)),
		}},
	)
}

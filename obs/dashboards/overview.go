package dashboards

// overview is the seed's picture, live: each box where the picture has it.
func overview() *Dashboard {
	return page("overview", "Platform overview", "The platform as the picture draws it: three systems, each box with what it does now. Red is to be acted on.", nil,
		row{"Now", 5, []*Panel{
			stat("Pages out", "Alerts of severity page that fire now. Each has a runbook of its name.", "none", `count(ALERTS{alertstate="firing", severity="page"}) or vector(0)`, alarm(1)),
			stat("Tickets out", "Alerts of severity ticket that fire now.", "none", `count(ALERTS{alertstate="firing", severity="ticket"}) or vector(0)`, warn(1)),
			stat("Payments a minute", "PaymentIntents that succeeded in the last minute, all methods.", "none", `60 * sum(rate(mpac_payment_intents_total{state="succeeded"}[$__rate_interval]))`),
			stat("Payments that succeed", "Share of the PaymentIntents that ended in the last 15 minutes and were paid. Customers' own cancels count as not paid.", "percentunit",
				`sum(increase(mpac_payment_intents_total{state="succeeded"}[15m])) / sum(increase(mpac_payment_intents_total{state=~"succeeded|failed|cancelled"}[15m]))`, at{0, act}, at{0.7, look}, at{0.9, well}),
			stat("Unknown outcomes", "Payments of which nobody knows yet whether money moved. They are asked after all the time.", "none", `sum(mpac_payments_unknown)`, warn(1), alarm(20)),
			stat("Terminals connected", "Terminals that asked for a token within five minutes.", "none", `sum(mpac_devices_connected)`),
		}},
		row{"mpac-smartpos: gateway, svc-portal, svc-smarttab, PostgreSQL, Redis", 4, []*Panel{
			stat("API gateway", "Requests a second at the gateway that terminals and people talk to.", "reqps", `sum(rate(mpac_gateway_requests_total[$__rate_interval]))`),
			stat("API gateway errors", "Share of answers with 5xx, as terminals see it.", "percentunit",
				`(sum(rate(mpac_gateway_requests_total{code=~"5.."}[5m])) or vector(0)) / sum(rate(mpac_gateway_requests_total[5m]))`, warn(0.005), alarm(0.01)),
			traffic("svc-portal"), errorShare("svc-portal"), slowest("svc-portal", 0.2, 0.5),
			traffic("svc-smarttab"), errorShare("svc-smarttab"), slowest("svc-smarttab", 0.2, 0.5),
			reached("smartpos PostgreSQL", "Whether svc-smarttab and svc-portal reach mpacdb.", `min(mpac_dependency_up{dependency=~"database|postgres|postgresql", service_name=~"svc-.*"})`),
			stat("smartpos Redis errors", "Redis commands of svc-smarttab and svc-portal that fail, a second. Redis makes things fast; sales go on without it.", "cps",
				`sum(rate(mpac_redis_command_duration_seconds_count{outcome="error", service_name=~"svc-.*"}[$__rate_interval])) or vector(0)`, alarm(0.1)),
		}},
		row{"mpac-pgw: pgw-backend, matcher, PostgreSQL, Redis, providers", 4, []*Panel{
			traffic("pgw-backend"), errorShare("pgw-backend"), slowest("pgw-backend", 0.2, 0.4),
			stat("Providers silent", "Share of the calls to payment providers of the last five minutes that had no outcome.", "percentunit", `max(provider:calls_without_outcome:ratio_rate5m)`, warn(0.05), alarm(0.5)),
			stat("Matcher late by", "How long the oldest reconciliation is overdue that is not done; 0 when all are done or not due.", "s", `max(mpac_recon_late_seconds)`, alarm(1)),
			reached("pgw PostgreSQL", "Whether pgw-backend reaches its database.", `min(mpac_dependency_up{dependency=~"database|postgres|postgresql", service_name="pgw-backend"})`),
			stat("pgw Redis errors", "Redis commands of pgw-backend that fail, a second.", "cps",
				`sum(rate(mpac_redis_command_duration_seconds_count{outcome="error", service_name="pgw-backend"}[$__rate_interval])) or vector(0)`, alarm(0.1)),
			stat("Ledger off by", "By how much transactions do not come to zero, of any age: anything but 0 is an incident.", "none", `max(abs(mpac_ledger_imbalance))`, alarm(1)),
		}},
		row{"mpac-obs: Alloy, Prometheus, Loki, Alertmanager", 4, []*Panel{
			stat("Alloy takes in", "Spans, metric points and log lines taken in a second.", "cps", `sum(rate(otelcol_receiver_accepted_spans_total[$__rate_interval])) + sum(rate(otelcol_receiver_accepted_metric_points_total[$__rate_interval])) + sum(rate(otelcol_receiver_accepted_log_records_total[$__rate_interval]))`),
			reached("Prometheus", "Whether Prometheus reaches itself.", `min(up{job="mpac/prometheus"})`),
			reached("Loki", "Whether Prometheus reaches Loki.", `min(up{job="mpac/loki"})`),
			reached("Alertmanager", "Whether Prometheus reaches Alertmanager.", `min(up{job="mpac/alertmanager"})`),
			stat("Telemetry dropped", "Items that services dropped in the last 15 minutes: sales go on, we see less.", "none", `sum(increase(mpac_telemetry_dropped_total[15m]))`, warn(1)),
		}},
		row{"Promises of the month", 7, []*Panel{
			bars("Allowance used up this hour", "Bad events of the last hour against what a month of such hours allows: 1 is exactly the allowance, 14.4 pages.", "none", []at{warn(1), alarm(6)},
				q{`slo:bad:ratio_rate1h / on (slo) group_left () (1 - slo:objective:ratio)`, "{{slo}} {{service_name}}{{provider}}"}),
			bars("Allowance used up these five minutes", "The same over five minutes: whether it is bad now.", "none", []at{warn(1), alarm(14.4)},
				q{`slo:bad:ratio_rate5m / on (slo) group_left () (1 - slo:objective:ratio)`, "{{slo}} {{service_name}}{{provider}}"}),
			table("What fires", "Every alert that fires now. Watchdog always does: it proves that alerts get through.", "none",
				q{`count by (severity, alertname, service_name, provider) (ALERTS{alertstate="firing"})`, ""}),
		}},
		row{"Traffic", 9, []*Panel{
			graph("Requests", "Requests a second, by service.", "reqps", nil, q{`sum by (service_name) (rate(http_server_request_duration_seconds_count[$__rate_interval]))`, "{{service_name}}"}),
			traced(graph("Time of requests (p95)", "95th percentile by service; dots lead to traces. The feed, which waits on purpose, is left out.", "s", []at{warn(0.2), alarm(0.5)},
				q{percentile(0.95, "service_name", "http_server_request_duration_seconds", `http_route!="/v1/events"`), "{{service_name}}"})),
			graph("Sales", "Money that stores take a minute, in yen, by method.", "currencyJPY", nil, q{`60 * sum by (method) (rate(mpac_store_sales_total{currency="JPY"}[$__rate_interval]))`, "{{method}}"}),
		}},
	)
}

// traffic is what a service answers, and leads to its dashboard.
func traffic(service string) *Panel {
	return leading(stat(service, "Requests a second that "+service+" answers.", "reqps",
		`sum(rate(http_server_request_duration_seconds_count{service_name="`+service+`"}[$__rate_interval]))`),
		"Service RED", "/d/mpac-service?var-service="+service+"&${__url_time_range}")
}

// errorShare is the share of a service's requests that failed by our fault.
func errorShare(service string) *Panel {
	return stat(service+" errors", "Share of requests answered with an error of ours; the target is 0.5%, the alert 1%.", "percentunit",
		`service:http_errors:ratio_rate5m{service_name="`+service+`"}`, warn(0.005), alarm(0.01))
}

// slowest is the 95th percentile of a service, in seconds.
func slowest(service string, target, limit float64) *Panel {
	return stat(service+" p95", "95th percentile of the time of requests over five minutes.", "s",
		`service:http_latency:p95_5m{service_name="`+service+`"}`, warn(target), alarm(limit))
}

// reached says UP or DOWN.
func reached(name, what, expr string) *Panel {
	return wording(stat(name, what, "none", expr, at{1, well}), map[string]string{"0": "DOWN", "1": "UP"}, map[string]string{"0": act, "1": well})
}

package dashboards

func payments() *Dashboard {
	in := func(state string) string {
		return `sum(increase(mpac_payment_intents_total{state="` + state + `"}[$__range]))`
	}
	return page("payments", "Payments", "What the payment gateway does: the funnel, providers, and the outcomes nobody knows yet.", nil,
		row{"The funnel, over the range shown", 4, []*Panel{
			stat("Created", "PaymentIntents created.", "none", in("created")),
			stat("Asked of the customer", "PaymentIntents whose code was shown or charged.", "none", in("requires_action")+" or vector(0)"),
			stat("Succeeded", "PaymentIntents paid.", "none", in("succeeded")),
			stat("Failed", "PaymentIntents that a provider or an acquirer refused.", "none", in("failed")+" or vector(0)"),
			stat("Cancelled", "PaymentIntents ended by the store, the customer or their time.", "none", in("cancelled")+" or vector(0)"),
			stat("Refunds", "Refunds that gave money back.", "none", `sum(increase(mpac_refunds_total{state="succeeded"}[$__range])) or vector(0)`),
		}},
		row{"Unknown outcomes", 5, []*Panel{
			stat("Open now", "Payments of which nobody knows yet whether money moved.", "none", `sum(mpac_payments_unknown)`, warn(1), alarm(20)),
			stat("Oldest", "Age of the oldest payment with an unknown outcome; it pages after 15 minutes.", "s", `max(mpac_payments_unknown_oldest_age_seconds)`, warn(300), alarm(900)),
			stat("A person is needed", "Unknown for a day: asking again does not help.", "none", `sum(mpac_payments_operator_needed)`, warn(1)),
			stat("Paid after the end", "Payments that a provider took after they were given up, over the range shown. Each is refunded.", "none", `sum(increase(mpac_payments_late_success_total[$__range])) or vector(0)`, warn(1)),
			graph("Open, by provider", "Payments with an unknown outcome over time.", "none", []at{warn(20)}, q{`sum by (provider) (mpac_payments_unknown)`, "{{provider}}"}),
		}},
		row{"Money", 8, []*Panel{
			graph("States", "PaymentIntents that come into a state, a minute.", "none", nil, q{`60 * sum by (state) (rate(mpac_payment_intents_total[$__rate_interval]))`, "{{state}}"}),
			graph("Taken, by provider and method", "Money taken from customers, yen a minute.", "currencyJPY", nil,
				q{`60 * sum by (provider, method) (rate(mpac_money_moved_total{direction="taken", currency="JPY"}[$__rate_interval]))`, "{{provider}} {{method}}"}),
			graph("Returned", "Money given back to customers, yen a minute.", "currencyJPY", nil,
				q{`60 * (sum(rate(mpac_money_moved_total{direction="returned", currency="JPY"}[$__rate_interval])) or vector(0))`, "returned"}),
		}},
		row{"Providers", 8, []*Panel{
			graph("Calls", "Calls to providers a second, by operation.", "reqps", nil, q{`sum by (provider, operation) (rate(mpac_provider_duration_seconds_count[$__rate_interval]))`, "{{provider}} {{operation}}"}),
			traced(graph("Time of calls (p95)", "95th percentile of a provider's answers; dots lead to traces.", "s", []at{warn(1), alarm(2)}, q{percentile(0.95, "provider, operation", "mpac_provider_duration_seconds", ""), "{{provider}} {{operation}}"})),
			graph("Without outcome", "Share of calls that ended without an outcome: no answer, or not now. Half of them pages.", "percentunit", []at{warn(0.05), alarm(0.5)}, q{`provider:calls_without_outcome:ratio_rate5m`, "{{provider}}"}),
			graph("Outcomes", "What calls ended with, a second.", "reqps", nil, q{`sum by (outcome) (rate(mpac_provider_duration_seconds_count[$__rate_interval]))`, "{{outcome}}"}),
		}},
		row{"What the till waits for", 8, []*Panel{
			traced(graph("Create", "Time of POST /v1/payment_intents; targets 150, 300, 800 ms.", "s", []at{warn(0.3), alarm(0.8)},
				percentiles("http_server_request_duration_seconds", `service_name="pgw-backend", http_request_method="POST", http_route="/v1/payment_intents"`, 0.5, 0.95, 0.99)...)),
			traced(graph("Confirm", "Time of a confirm; targets 200, 400, 1000 ms, the provider's share included.", "s", []at{warn(0.4), alarm(1)},
				percentiles("http_server_request_duration_seconds", `service_name="pgw-backend", http_route=~"/v1/payment_intents/[^/]+/confirm"`, 0.5, 0.95, 0.99)...)),
			graph("From confirm to the end", "The customer's wait: from a confirm to the payment's final state, 95th percentile.", "s", nil, q{percentile(0.95, "method, state", "mpac_payment_confirm_duration_seconds", ""), "{{method}} {{state}}"}),
		}},
		row{"Feed, notifications, keys", 8, []*Panel{
			traced(graph("Feed lag (p95)", "From an event's birth to its effect at the store, and to its place in the feed.", "s", []at{warn(1), alarm(10)},
				q{percentile(0.95, "", "mpac_feed_lag_seconds", ""), "to the store"}, q{percentile(0.95, "", "mpac_events_lag_seconds", ""), "to its place"})),
			graph("Events", "Events that got their place, and that took effect at the stores, a second.", "cps", nil,
				q{`sum(rate(mpac_events_numbered_total[$__rate_interval]))`, "numbered"}, q{`sum(rate(mpac_feed_events_total[$__rate_interval]))`, "applied"}, q{`sum(mpac_feed_parked)`, "parked"}),
			graph("Notifications", "Providers' webhooks by what became of them, a minute. Refused ones are forged or malformed.", "none", nil, q{`60 * sum by (outcome) (rate(mpac_webhooks_received_total[$__rate_interval]))`, "{{outcome}}"}),
			graph("Repeated and refused requests", "Requests with a known idempotency key, and with a signature that was refused, a minute.", "none", nil,
				q{`60 * sum by (outcome) (rate(mpac_idempotency_repeats_total[$__rate_interval]))`, "repeat: {{outcome}}"}, q{`60 * sum by (reason) (rate(mpac_signatures_refused_total[$__rate_interval]))`, "signature: {{reason}}"}),
		}},
	)
}

func store() *Dashboard {
	return page("store", "Store operations", "Orders, bills, payments and closes of all stores.", nil,
		row{"Over the range shown", 4, []*Panel{
			stat("Orders", "Orders opened.", "none", `sum(increase(mpac_orders_total{state="open"}[$__range]))`),
			stat("Bills paid", "Bills paid in full.", "none", `sum(increase(mpac_bills_total{state="paid"}[$__range]))`),
			stat("Sales", "Money that stores took, yen.", "currencyJPY", `sum(increase(mpac_store_sales_total{currency="JPY"}[$__range]))`),
			stat("Receipts", "Receipts issued, return invoices included.", "none", `sum(increase(mpac_receipts_total[$__range]))`),
			stat("Days closed", "Business days closed.", "none", `sum(increase(mpac_settlements_total{state="closed"}[$__range]))`),
			stat("Cash differences", "Cash counted more or less than expected at closes, summed without sign, yen.", "currencyJPY", `sum(increase(mpac_settlements_difference_total[$__range])) or vector(0)`),
		}},
		row{"What needs somebody", 4, []*Panel{
			stat("Payments open too long", "Begun more than ten minutes ago and still open: the bill stays reserved.", "none", `sum(mpac_store_payments_open)`, warn(1)),
			stat("Closes overdue", "Business days that ended more than six hours ago and are not closed.", "none", `sum(mpac_settlements_overdue)`, warn(1)),
			stat("Events parked", "Events of payments that could not be applied: paid at the wallet, open at the store.", "none", `sum(mpac_feed_parked)`, alarm(1)),
			stat("Feed last answered", "Since the payment gateway's feed last answered; it pages after a minute.", "s", `max(mpac_feed_last_contact_age_seconds)`, warn(40), alarm(60)),
		}},
		row{"Flow", 9, []*Panel{
			graph("Orders a minute", "Orders that come into a state, a minute.", "none", nil, q{`60 * sum by (state) (rate(mpac_orders_total[$__rate_interval]))`, "{{state}}"}),
			graph("Orders by type", "Orders opened a minute: eaten here, taken away, delivered.", "none", nil, q{`60 * sum by (type) (rate(mpac_orders_total{state="open"}[$__rate_interval]))`, "{{type}}"}),
			graph("Bills", "Bills that come into a state, a minute.", "none", nil, q{`60 * sum by (state) (rate(mpac_bills_total[$__rate_interval]))`, "{{state}}"}),
		}},
		row{"Money", 9, []*Panel{
			graph("Payments", "Payments that come into a state, a minute, by method.", "none", nil, q{`60 * sum by (method, state) (rate(mpac_store_payments_total[$__rate_interval]))`, "{{method}} {{state}}"}),
			graph("Sales by method", "Money that stores take, yen a minute.", "currencyJPY", nil, q{`60 * sum by (method) (store:sales:rate5m{currency="JPY"})`, "{{method}}"}),
			traced(graph("Making an order", "Time of POST /orders; targets 200, 500, 1000 ms.", "s", []at{warn(0.5), alarm(1)},
				percentiles("http_server_request_duration_seconds", `service_name="svc-smarttab", http_request_method="POST", http_route="/api/v1/orders"`, 0.5, 0.95)...)),
		}},
	)
}

func devices() *Dashboard {
	return page("devices", "Device fleet", "Terminals: how many, in which state, and how they sign in.", nil,
		row{"Now", 5, []*Panel{
			stat("Connected", "Terminals that asked for a token within five minutes.", "none", `sum(mpac_devices_connected)`),
			stat("Against the last hour", "Connected terminals as a share of the last hour's most. Half pages.", "percentunit",
				`sum(mpac_devices_connected) / clamp_min(sum(max_over_time(mpac_devices_connected[1h])), 1)`, at{0, act}, at{0.5, look}, at{0.8, well}),
			stat("Tokens a second", "Tokens issued to terminals; each asks every two minutes.", "reqps", `sum(rate(mpac_device_tokens_total{outcome="issued"}[$__rate_interval]))`),
			stat("Tokens refused", "Share of requests for a token that were refused.", "percentunit",
				`sum(rate(mpac_device_tokens_total{outcome="refused"}[$__rate_interval])) / clamp_min(sum(rate(mpac_device_tokens_total[$__rate_interval])), 0.001)`, warn(0.05), alarm(0.2)),
			stat("Activations", "Terminals activated over the range shown.", "none", `sum(increase(mpac_device_activations_total{outcome="activated"}[$__range]))`),
		}},
		row{"Fleet", 8, []*Panel{
			bars("By state", "Terminals by their state as an asset.", "none", nil, q{`sum by (state) (mpac_devices)`, "{{state}}"}),
			graph("Connected over time", "Connected terminals over time.", "none", nil, q{`sum(mpac_devices_connected)`, "connected"}),
			graph("Activations a minute", "Activation codes shown by terminals, a minute.", "none", nil, q{`60 * sum by (outcome) (rate(mpac_device_activations_total[$__rate_interval]))`, "{{outcome}}"}),
		}},
		row{"Signing in", 8, []*Panel{
			traced(graph("Time of a token", "Time of POST /auth/device/token; targets p95 200 ms, p99 500 ms.", "s", []at{warn(0.2), alarm(0.5)},
				percentiles("http_server_request_duration_seconds", `service_name="svc-portal", http_route=~".*/auth/device/token"`, 0.95, 0.99)...)),
			graph("Tokens", "Requests for a token, a second, by outcome.", "reqps", nil, q{`sum by (outcome) (rate(mpac_device_tokens_total[$__rate_interval]))`, "{{outcome}}"}),
			graph("People", "Attempts of people to sign in, a minute, by outcome.", "none", nil, q{`60 * sum by (outcome) (rate(mpac_logins_total[$__rate_interval]))`, "{{outcome}}"}),
			bars("Tenants", "Active PSPs, merchants and stores.", "none", nil, q{`sum by (kind) (mpac_tenants)`, "{{kind}}"}),
		}},
	)
}

func reconciliation() *Dashboard {
	return page("reconciliation", "Reconciliation", "What the matcher found in the newest day, and what is still open.", nil,
		row{"The newest day", 5, []*Panel{
			stat("Late", "How long the oldest run is overdue that is not done; 0 when all are done or not due.", "s", `max(mpac_recon_late_seconds)`, alarm(1)),
			stat("Last complete run", "Since the last complete run ended.", "s", `time() - max(mpac_recon_last_run_seconds)`, warn(90000), alarm(180000)),
			stat("Matched", "Share of the newest day's items that matched by themselves.", "percentunit",
				`sum(mpac_recon_day_items{verdict="matched"}) / clamp_min(sum(mpac_recon_day_items), 1)`, at{0, act}, at{0.95, look}, at{0.999, well}),
			stat("Lines rejected", "Lines of the newest files that could not be read: set aside with their reasons.", "none", `sum(mpac_recon_day_lines{result="rejected"})`, warn(1)),
			stat("Took", "How long the newest day's longest run took.", "s", `max(mpac_recon_day_duration_seconds)`),
			wording(stat("Outcome", "Whether a run of the newest day failed.", "none", `max(mpac_recon_day_failed)`, alarm(1)), map[string]string{"0": "COMPLETE", "1": "FAILED"}, map[string]string{"0": well, "1": act}),
		}},
		row{"Exceptions", 8, []*Panel{
			bars("Open, by severity", "Exceptions that nobody has resolved.", "none", []at{warn(1)}, q{`sum by (severity) (mpac_recon_exceptions_open)`, "{{severity}}"}),
			bars("Past due, by severity", "Exceptions open past the time their severity allows.", "none", []at{alarm(1)}, q{`sum by (severity) (mpac_recon_exceptions_past_due)`, "{{severity}}"}),
			bars("Open, by kind", "What is wrong with them.", "none", nil, q{`sum by (kind) (mpac_recon_exceptions_open)`, "{{kind}}"}),
			bars("Money at stake", "Money in open exceptions, yen; 1,000,000 makes a ticket.", "currencyJPY", []at{warn(100000), alarm(1000000)}, q{`sum by (provider) (mpac_recon_unmatched_amount{currency="JPY"})`, "{{provider}}"}),
		}},
		row{"Work", 8, []*Panel{
			bars("Items by verdict", "Items of the newest day.", "none", nil, q{`sum by (provider, verdict) (mpac_recon_day_items)`, "{{provider}} {{verdict}}"}),
			bars("Money by verdict", "Money of the newest day, yen.", "currencyJPY", nil, q{`sum by (provider, verdict) (mpac_recon_day_amount{currency="JPY"})`, "{{provider}} {{verdict}}"}),
			bars("Lines", "Lines of the newest files.", "none", nil, q{`sum by (provider, result) (mpac_recon_day_lines)`, "{{provider}} {{result}}"}),
			graph("Open over time", "Open exceptions, by severity.", "none", nil, q{`sum by (severity) (mpac_recon_exceptions_open)`, "{{severity}}"}),
		}},
	)
}

func businessDay() *Dashboard {
	d := page("business-day", "Business day", "The day as the people who trade see it: sales, payments, closes, reconciliation. Since midnight, Tokyo.", nil,
		row{"Today", 6, []*Panel{
			stat("Sales", "Money that stores took today, yen.", "currencyJPY", `sum(increase(mpac_store_sales_total{currency="JPY"}[$__range]))`),
			stat("Orders", "Orders opened today.", "none", `sum(increase(mpac_orders_total{state="open"}[$__range]))`),
			stat("Average bill", "Money taken for each bill that was paid, yen.", wholeYen, `sum(increase(mpac_store_sales_total{currency="JPY"}[$__range])) / clamp_min(sum(increase(mpac_bills_total{state="paid"}[$__range])), 1)`),
			stat("Paid by wallet", "Share of the money that came by QR.", "percentunit", `sum(increase(mpac_store_sales_total{method="qr", currency="JPY"}[$__range])) / clamp_min(sum(increase(mpac_store_sales_total{currency="JPY"}[$__range])), 1)`),
			stat("Given back", "Money returned to customers today, yen.", "currencyJPY", `sum(increase(mpac_money_moved_total{direction="returned", currency="JPY"}[$__range])) or vector(0)`),
			stat("Stores", "Active stores.", "none", `sum(mpac_tenants{kind="store"})`),
		}},
		row{"Trade", 10, []*Panel{
			graph("Sales an hour", "Money that stores take an hour at the moment's rate, yen, by method.", "currencyJPY", nil, q{`3600 * sum by (method) (store:sales:rate5m{currency="JPY"})`, "{{method}}"}),
			bars("Sales by method", "Money taken today, yen.", "currencyJPY", nil, q{`sum by (method) (increase(mpac_store_sales_total{currency="JPY"}[$__range]))`, "{{method}}"}),
			graph("Orders an hour", "Orders opened an hour at the moment's rate, by type.", "none", nil, q{`3600 * sum by (type) (rate(mpac_orders_total{state="open"}[5m]))`, "{{type}}"}),
		}},
		row{"Closing", 7, []*Panel{
			stat("Days closed", "Business days closed today.", "none", `sum(increase(mpac_settlements_total{state="closed"}[$__range]))`),
			stat("Days reconciled", "Business days whose provider payments are all found in the providers' files.", "none", `sum(increase(mpac_settlements_total{state="reconciled"}[$__range])) or vector(0)`),
			stat("Closes overdue", "Business days that ended more than six hours ago and are not closed.", "none", `sum(mpac_settlements_overdue)`, warn(1)),
			stat("Cash differences", "Cash counted more or less than expected, summed without sign, yen.", "currencyJPY", `sum(increase(mpac_settlements_difference_total[$__range])) or vector(0)`),
			stat("Not matched", "Money in open exceptions with providers, yen.", "currencyJPY", `sum(mpac_recon_unmatched_amount{currency="JPY"})`, warn(100000), alarm(1000000)),
		}},
	)
	d.Time = Range{From: "now/d", To: "now"}
	return d
}

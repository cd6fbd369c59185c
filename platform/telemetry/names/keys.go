package names

// Attributes of metrics.
var (
	Provider    = &Key{Name: "provider", Bound: "the adapters of the registry, and none"}
	Method      = &Key{Name: "method", Bound: "payment method types, and none"}
	Currency    = &Key{Name: "currency", Bound: "ISO 4217 codes in use"}
	JobKind     = &Key{Name: "kind", Bound: "the workers' kinds"}
	Queue       = &Key{Name: "queue", Bound: "River's queues"}
	Dependency  = &Key{Name: "dependency", Bound: "the readiness checks' names"}
	Limit       = &Key{Name: "limit", Values: []string{"merchant", "global", "read", "token", "feed", "config", "user", "device"}}
	Database    = &Key{Name: "database", Values: []string{"pgw", "mpacdb"}}
	System      = &Key{Name: "system", Values: []string{"pgw", "smartpos"}}
	EventType   = &Key{Name: "type", Bound: "the event feed's types"}
	Refusal     = &Key{Name: "reason", Values: []string{"unknown_key", "bad_signature", "expired", "replayed", "malformed", "other"}}
	Signal      = &Key{Name: "signal", Values: []string{"traces", "metrics", "logs"}}
	Level       = &Key{Name: "level", Values: []string{"info", "warn", "error"}}
	RedisResult = &Key{Name: "outcome", Values: []string{"ok", "error"}}
	FiguresRead = &Key{Name: "read", Values: []string{"payments", "resolutions", "events", "partitions", "reconciliation", "ledger", "jobs", "postgresql", "redis", "sync", "terminals", "store_payments", "feed"}}
	PoolState   = &Key{Name: "state", Values: []string{"used", "idle"}}

	JobOutcome = &Key{Name: "outcome", Values: []string{"completed", "failed", "snoozed", "cancelled"}}
	JobState   = &Key{Name: "state", Values: []string{"available", "running", "retryable", "scheduled"}}

	IntentState   = &Key{Name: "state", Values: []string{"created", "requires_action", "processing", "requires_capture", "succeeded", "failed", "cancelled", "reconciled", "late_success"}}
	RefundState   = &Key{Name: "state", Values: []string{"created", "processing", "succeeded", "failed"}}
	FinalState    = &Key{Name: "state", Values: []string{"succeeded", "failed", "cancelled"}}
	Direction     = &Key{Name: "direction", Values: []string{"taken", "returned"}}
	Operation     = &Key{Name: "operation", Values: []string{"create_code", "delete_code", "charge", "query", "cancel", "capture", "refund", "query_refund"}}
	CallOutcome   = &Key{Name: "outcome", Values: []string{"success", "failed", "unknown", "not_now"}}
	Resolved      = &Key{Name: "outcome", Values: []string{"succeeded", "failed"}}
	RepeatOutcome = &Key{Name: "outcome", Values: []string{"replayed", "in_use", "reused", "signature_reused"}}
	HookOutcome   = &Key{Name: "outcome", Values: []string{"accepted", "duplicate", "refused", "unmatched"}}

	ExceptionKind = &Key{Name: "kind", Values: []string{"none", "missing_at_provider", "missing_at_gateway", "amount_differs", "currency_differs", "status_differs", "duplicate_at_provider", "refund_without_charge", "unparsable"}}
	Severity      = &Key{Name: "severity", Values: []string{"critical", "high", "medium", "low"}}
	RunOutcome    = &Key{Name: "outcome", Values: []string{"matched", "exceptions", "failed"}}
	LineResult    = &Key{Name: "result", Values: []string{"parsed", "rejected"}}
	Verdict       = &Key{Name: "verdict", Values: []string{"matched", "proposed", "exception", "unexplained"}}

	OrderState      = &Key{Name: "state", Values: []string{"open", "billed", "completed", "cancelled"}}
	OrderType       = &Key{Name: "type", Values: []string{"dine_in", "takeaway", "delivery"}}
	BillState       = &Key{Name: "state", Values: []string{"pending", "partial", "paid", "cancelled", "split"}}
	PaymentState    = &Key{Name: "state", Values: []string{"pending", "processing", "completed", "failed", "cancelled", "refunded"}}
	SettlementState = &Key{Name: "state", Values: []string{"closed", "reconciled"}}
	ReceiptKind     = &Key{Name: "kind", Values: []string{"receipt", "return"}}

	LoginOutcome      = &Key{Name: "outcome", Values: []string{"success", "failed", "locked", "mfa_failed"}}
	TokenOutcome      = &Key{Name: "outcome", Values: []string{"issued", "refused"}}
	ActivationOutcome = &Key{Name: "outcome", Values: []string{"activated", "refused"}}
	DeviceState       = &Key{Name: "state", Bound: "the states of an asset"}
	TenantKind        = &Key{Name: "kind", Values: []string{"psp", "merchant", "store"}}
	KeyUse            = &Key{Name: "use", Values: []string{"human", "device"}}

	ConnectionState = &Key{Name: "state", Values: []string{"active", "idle", "idle_in_transaction"}}
	TxOutcome       = &Key{Name: "outcome", Values: []string{"committed", "rolled_back"}}
	BlockSource     = &Key{Name: "source", Values: []string{"hit", "read"}}
	RowOperation    = &Key{Name: "operation", Values: []string{"inserted", "updated", "deleted", "fetched"}}

	GatewayService = &Key{Name: "service", Bound: "the services of kong.yml"}
	GatewayRoute   = &Key{Name: "route", Bound: "the routes of kong.yml"}
	GatewayCode    = &Key{Name: "code", Bound: "HTTP statuses"}
	GatewaySource  = &Key{Name: "source", Values: []string{"kong", "service", "error"}}

	HTTPMethod = &Key{Name: "http.request.method", Bound: "HTTP methods"}
	HTTPRoute  = &Key{Name: "http.route", Bound: "the router's patterns"}
	HTTPStatus = &Key{Name: "http.response.status_code", Bound: "HTTP statuses"}
	Server     = &Key{Name: "server.address", Bound: "the few hosts that are called"}
	MemoryType = &Key{Name: "go.memory.type", Values: []string{"stack", "other"}}
	PGXType    = &Key{Name: "pgx.operation.type", Bound: "query, batch, copy, connect, prepare, acquire"}
)

// Keys of spans and logs. In Loki and Tempo they are structured metadata and attributes, never labels.
const (
	TraceID = "trace_id"
	SpanID  = "span_id"
	// SaleTraceID, on what works on a sale in a trace of its own (a notification, a sweep), is the trace of the sale.
	SaleTraceID = "sale_trace_id"
	RequestID   = "request_id"
	MerchantID  = "merchant_id"
	StoreID     = "store_id"
	PartnerID   = "partner_id"
	TerminalID  = "terminal_id"
	Caller      = "enduser.id" // a user's or device's id at svc-portal
	JobID       = "job_id"
	Job         = "job_kind"
)

// Attributes of spans only.
const (
	SpanProvider    = "provider"
	SpanOperation   = "operation"
	SpanJobQueue    = "job_queue"
	SpanJobAttempt  = "job_attempt"
	SpanEvent       = "event_id"
	SpanEventType   = "event_type"
	SpanCommand     = "command"
	SpanExitCode    = "exit_code"
	SpanDay         = "business_day"
	SpanContract    = "contract_id"
	SpanDryRun      = "dry_run"
	SpanLines       = "lines"
	SpanMatched     = "matched"
	SpanOpen        = "open"
	SpanKongService = "kong.service"
	SpanPath        = "url.path"
	SpanService     = "service.name"
)

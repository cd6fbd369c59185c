package names

// Every service.
var (
	DBPoolConnections = gauge("mpac.db.pool.connections", "{connection}", "Connections of the process's PostgreSQL pool, by state", PoolState)
	DBPoolLimit       = gauge("mpac.db.pool.limit", "{connection}", "Connections that the process's PostgreSQL pool may open")
	DBPoolWait        = tally("mpac.db.pool.wait", "s", "Time that callers have waited for a connection of the pool")
	DBRepeated        = counter("mpac.db.transactions.repeated", "{transaction}", "Transactions run again after losing a serialization or deadlock fight")
	DependencyUp      = gauge("mpac.dependency.up", "", "1 when the readiness check passed last, by dependency", Dependency)
	RedisDuration     = histogram("mpac.redis.command.duration", "Time of Redis commands as the caller waits, by outcome", RedisResult)
	RedisPool         = gauge("mpac.redis.pool.connections", "{connection}", "Connections of the process's Redis pool, by state", PoolState)
	LimiterLocal      = counter("mpac.limiter.local", "{request}", "Requests counted by one task alone because Redis did not answer")
	LimiterRefused    = counter("mpac.limiter.refused", "{request}", "Requests refused because a limit was used up, by limit", Limit)

	FiguresFailing = gauge("mpac.figures.failing", "", "1 while a group of figures cannot be read from PostgreSQL or Redis, and is missing from the metrics; 0 else, by the task that reads", FiguresRead)

	JobsDuration  = histogram("mpac.jobs.duration", "Time of a job's work, by kind and outcome", JobKind, JobOutcome)
	JobsQueued    = gauge("mpac.jobs.queued", "{job}", "Jobs in the queue, by queue and state", Queue, JobState)
	JobsOldest    = gauge("mpac.jobs.oldest.age", "s", "Age of the oldest job that is due and not taken, by queue; 0 when there is none", Queue)
	JobsDiscarded = gauge("mpac.jobs.discarded", "{job}", "Jobs given up for good, by queue", Queue)

	TelemetryDropped = counter("mpac.telemetry.dropped", "{item}", "Spans, metric exports and log records that were dropped: the queue was full, or the receiver did not take them", Signal)
	LogLines         = counter("mpac.log.lines", "{line}", "Log lines written, by level", Level)
	Panics           = counter("mpac.panics", "{panic}", "Panics of handlers, each answered with an internal error")
	HTTPActive       = upDown("http.server.active_requests", "{request}", "Requests under way, by method", HTTPMethod)

	ProcessUptime = gauge("mpac.process.uptime", "s", "Since the process started")
	ProcessCPU    = tally("mpac.process.cpu.time", "s", "Processor time the process has used, user and system")
	ProcessMemory = gauge("mpac.process.memory", "By", "Resident memory of the process")
)

// pgw-backend.
var (
	PaymentIntents  = counter("mpac.payment_intents", "{intent}", "PaymentIntents that came into a state, by state, provider and method", IntentState, Provider, Method)
	Refunds         = counter("mpac.refunds", "{refund}", "Refunds that came into a state, by state, provider and method", RefundState, Provider, Method)
	MoneyMoved      = counter("mpac.money.moved", "{minor_unit}", "Money taken from and returned to customers, in the currency's minor unit", Direction, Currency, Provider, Method)
	ConfirmDuration = histogram("mpac.payment.confirm.duration", "From the arrival of a confirm to the PaymentIntent's final state: the customer's wait", Provider, Method, FinalState)
	ProviderCalls   = histogram("mpac.provider.duration", "Time of a call to a payment provider, by provider, operation and outcome", Provider, Operation, CallOutcome)

	UnknownOutcomes = gauge("mpac.payments.unknown", "{payment}", "Payments whose outcome is unknown and asked after, by provider", Provider)
	UnknownOldest   = gauge("mpac.payments.unknown.oldest.age", "s", "Age of the oldest payment whose outcome is unknown, by provider; 0 when there is none", Provider)
	OperatorNeeded  = gauge("mpac.payments.operator_needed", "{payment}", "Payments and refunds that a person has to find out about, by provider", Provider)
	OperatorSettled = tally("mpac.payments.operator_settled", "{payment}", "Payments and refunds that two people have settled, by provider and outcome", Provider, Resolved)
	LateSuccesses   = counter("mpac.payments.late_success", "{payment}", "Payments that a provider took after they were given up, by provider", Provider)

	IdempotencyRepeats = counter("mpac.idempotency.repeats", "{request}", "Requests whose Idempotency-Key was known, by what they got", RepeatOutcome)
	SignaturesRefused  = counter("mpac.signatures.refused", "{request}", "Requests whose signature was refused, by reason", Refusal)
	WebhooksReceived   = counter("mpac.webhooks.received", "{webhook}", "Notifications of payment providers, by what became of them", Provider, HookOutcome)

	EventsNumbered  = counter("mpac.events.numbered", "{event}", "Events that got their position in the feed")
	EventsLag       = histogram("mpac.events.lag", "From an event's birth to its position in the feed, for the oldest of each batch")
	EventsWaiting   = gauge("mpac.events.waiting", "{event}", "Committed events without a position in the feed yet, counted up to 10000")
	PartitionStrays = gauge("mpac.partition.strays", "{row}", "Rows in DEFAULT partitions: no partition was made for their day", Database)
	LedgerImbalance = gauge("mpac.ledger.imbalance", "{minor_unit}", "By how much ledger transactions do not balance, of all that is kept, until each is put right: always 0. A round looks at the newest each time, at older ones in turn")
)

// Reconciliation, read from the matcher's books by pgw-backend: the matcher itself is gone between runs.
var (
	ReconLate       = gauge("mpac.recon.late", "s", "How long the oldest run is overdue that is not done, by provider: of the last week, or older and seen then; 0 when there is none", Provider)
	ReconOpen       = gauge("mpac.recon.exceptions.open", "{exception}", "Exceptions open, by kind and severity", ExceptionKind, Severity)
	ReconPastDue    = gauge("mpac.recon.exceptions.past_due", "{exception}", "Exceptions open past the time their severity allows", Severity)
	ReconUnmatched  = gauge("mpac.recon.unmatched.amount", "{minor_unit}", "Money at stake in open exceptions, in the currency's minor unit", Currency, Provider)
	ReconLastRun    = gauge("mpac.recon.last_run", "s", "Unix time of the end of the last complete run, by provider", Provider)
	ReconDayLines   = gauge("mpac.recon.day.lines", "{line}", "Lines of the newest day's settlement files, by result", Provider, LineResult)
	ReconDayItems   = gauge("mpac.recon.day.items", "{item}", "Items of the newest day's runs, by verdict", Provider, Verdict)
	ReconDayAmount  = gauge("mpac.recon.day.amount", "{minor_unit}", "Money of the newest day's runs, by verdict, in the currency's minor unit", Provider, Currency, Verdict)
	ReconDayTime    = gauge("mpac.recon.day.duration", "s", "How long the newest day's runs took, the longest of them", Provider)
	ReconDayFailed  = gauge("mpac.recon.day.failed", "", "1 when a run of the newest day failed", Provider)
	ReconRuns       = counter("mpac.recon.runs", "{run}", "Runs of the matcher, by provider and outcome", Provider, RunOutcome)
	ReconRunSeconds = histogram("mpac.recon.duration", "Time of a matcher's run, by provider", Provider)
)

// svc-smarttab.
var (
	Orders          = counter("mpac.orders", "{order}", "Orders that came into a state, by state and type", OrderState, OrderType)
	Bills           = counter("mpac.bills", "{bill}", "Bills that came into a state, by state", BillState)
	StorePayments   = counter("mpac.store.payments", "{payment}", "Payments of stores that came into a state, by state and method", PaymentState, Method)
	StoreSales      = counter("mpac.store.sales", "{minor_unit}", "Money that stores took, in the currency's minor unit, by method", Currency, Method)
	StoreOpen       = gauge("mpac.store.payments.open", "{payment}", "Payments of stores begun more than ten minutes ago and still open, by method", Method)
	Settlements     = counter("mpac.settlements", "{settlement}", "Business days closed and reconciled", SettlementState)
	SettlementsDiff = counter("mpac.settlements.difference", "{minor_unit}", "Cash counted more or less than expected at closes, summed without sign")
	SettlementsLate = gauge("mpac.settlements.overdue", "{settlement}", "Business days that ended more than six hours ago and are not closed")
	Receipts        = counter("mpac.receipts", "{receipt}", "Receipts issued, by kind", ReceiptKind)

	FeedEvents  = counter("mpac.feed.events", "{event}", "Events of the payment gateway's feed that have taken effect, by type", EventType)
	FeedLag     = histogram("mpac.feed.lag", "From an event's birth at the payment gateway to its effect here")
	FeedContact = gauge("mpac.feed.last_contact.age", "s", "Since the payment gateway's feed last answered")
	FeedParked  = gauge("mpac.feed.parked", "{event}", "Events of the payment gateway's feed that could not be applied")
)

// svc-portal.
var (
	SyncPending       = gauge("mpac.sync.pending", "{change}", "Changes that the payment gateway has yet to hear")
	SyncOldest        = gauge("mpac.sync.oldest.age", "s", "Age of the oldest change that the payment gateway has yet to hear")
	Logins            = counter("mpac.logins", "{login}", "Attempts of people to sign in, by outcome", LoginOutcome)
	DeviceTokens      = counter("mpac.device.tokens", "{token}", "Tokens that terminals asked for, by outcome", TokenOutcome)
	DeviceActivations = counter("mpac.device.activations", "{activation}", "Activation codes shown by terminals, by outcome", ActivationOutcome)
	Devices           = gauge("mpac.devices", "{device}", "Terminals, by state", DeviceState)
	DevicesConnected  = gauge("mpac.devices.connected", "{device}", "Terminals that asked for a token within the last five minutes")
	Tenants           = gauge("mpac.tenants", "{tenant}", "PSPs, merchants and stores that are active", TenantKind)
	SigningKeyAge     = gauge("mpac.signing_key.age", "s", "Age of the key that tokens are signed with, by use", KeyUse)
)

// PostgreSQL, read by the service that owns the database.
var (
	PGConnections = gauge("mpac.postgres.connections", "{connection}", "Connections to the database, by state", Database, ConnectionState)
	PGLimit       = gauge("mpac.postgres.connections.limit", "{connection}", "Connections that the server takes", Database)
	PGTx          = tally("mpac.postgres.transactions", "{transaction}", "Transactions, by outcome", Database, TxOutcome)
	PGBlocks      = tally("mpac.postgres.blocks", "{block}", "Blocks read, from the server's memory or from outside it", Database, BlockSource)
	PGRows        = tally("mpac.postgres.rows", "{row}", "Rows, by operation", Database, RowOperation)
	PGSize        = gauge("mpac.postgres.size", "By", "Size of the database", Database)
	PGDeadlocks   = tally("mpac.postgres.deadlocks", "{deadlock}", "Deadlocks", Database)
	PGWaiting     = gauge("mpac.postgres.locks.waiting", "{lock}", "Locks that somebody waits for", Database)
	PGOldestTx    = gauge("mpac.postgres.transaction.oldest.age", "s", "Age of the oldest open transaction", Database)
	PGDead        = gauge("mpac.postgres.tuples.dead", "{row}", "Dead rows that vacuum has yet to remove", Database)
	PGWraparound  = gauge("mpac.postgres.wraparound.age", "{transaction}", "Transactions since the database was last frozen", Database)
)

// Redis, read by the service that owns it.
var (
	RedisMemory   = gauge("mpac.redis.memory", "By", "Memory that Redis uses", System)
	RedisMemLimit = gauge("mpac.redis.memory.limit", "By", "Memory that Redis may use", System)
	RedisClients  = gauge("mpac.redis.clients", "{client}", "Clients connected to Redis", System)
	RedisCommands = tally("mpac.redis.commands", "{command}", "Commands that Redis has worked", System)
	RedisKeys     = gauge("mpac.redis.keys", "{key}", "Keys in Redis", System)
	RedisEvicted  = tally("mpac.redis.evicted", "{key}", "Keys that Redis has evicted for want of memory", System)
	RedisHits     = tally("mpac.redis.hits", "{lookup}", "Lookups in Redis that found their key", System)
	RedisMisses   = tally("mpac.redis.misses", "{lookup}", "Lookups in Redis that did not", System)
)

// The API gateway. The edge says them of itself, Kong's sidecar of Kong.
var (
	GatewayRequests  = counter("mpac.gateway.requests", "{request}", "Requests at the API gateway, by service, route, status and who answered", GatewayService, GatewayRoute, GatewayCode, GatewaySource)
	GatewayDuration  = histogram("mpac.gateway.duration", "Time of requests at the API gateway, by service", GatewayService)
	GatewayUpstream  = histogram("mpac.gateway.upstream.duration", "Time until the service behind the API gateway began its answer, by service", GatewayService)
	GatewayConfigAge = gauge("mpac.gateway.config.age", "s", "Since the API gateway's configuration was last found fresh")
	GatewayRejected  = gauge("mpac.gateway.config.rejected", "", "1 while the newest configuration is refused and an older one served")
)

// What libraries measure under OpenTelemetry's own names. Views cut their attributes to these.
var (
	HTTPServer   = library("otelgin", KindHistogram, "http.server.request.duration", "s", "Time of requests, by method, route and status", HTTPMethod, HTTPRoute, HTTPStatus)
	HTTPClient   = library("otelhttp", KindHistogram, "http.client.request.duration", "s", "Time of calls to others, by method, server and status", HTTPMethod, Server, HTTPStatus)
	DBClient     = library("otelpgx", KindHistogram, "db.client.operation.duration", "s", "Time of PostgreSQL operations as the caller waits, by type", PGXType)
	GoMemory     = library("runtime", KindUpDown, "go.memory.used", "By", "Memory that the Go runtime uses", MemoryType)
	GoMemLimit   = library("runtime", KindUpDown, "go.memory.limit", "By", "The memory limit of the Go runtime, where one is set")
	GoAllocated  = library("runtime", KindCounter, "go.memory.allocated", "By", "Memory allocated on the heap")
	GoAllocs     = library("runtime", KindCounter, "go.memory.allocations", "{allocation}", "Allocations on the heap")
	GoGCGoal     = library("runtime", KindUpDown, "go.memory.gc.goal", "By", "The heap's size at which it is collected next")
	GoGoroutines = library("runtime", KindUpDown, "go.goroutine.count", "{goroutine}", "Goroutines that are there")
	GoProcessors = library("runtime", KindUpDown, "go.processor.limit", "{thread}", "Threads that may run Go code at once")
	GoGC         = library("runtime", KindUpDown, "go.config.gogc", "%", "How much the heap may grow before it is collected")
	DBErrors     = library("otelpgx", KindCounter, "db.client.operation.errors", "", "PostgreSQL operations that failed, by type", PGXType)
)

package recon

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/problem"
)

// Deps are what the HTTP face needs from its service.
type Deps struct {
	// Tenant is whose request it is.
	Tenant func(context.Context) (partnerID, mode string)
	// Security opens these operations.
	Security []map[string][]string
	Clock    clock.Clock
}

// Register adds /v1/reconciliation to the API.
func Register(api huma.API, books *Books, deps Deps) {
	h := handlers{books, deps}
	op := func(id, path, summary string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: http.MethodGet, Path: "/v1/reconciliation" + path, Summary: summary, Tags: []string{"Reconciliation"}, Security: deps.Security,
			Errors: []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests},
		}
	}
	huma.Register(api, op("list-reconciliation-runs", "/runs", "List runs"), h.runs)
	huma.Register(api, op("get-reconciliation-run", "/runs/{id}", "Retrieve a run with its figures"), h.run)
	report := op("get-reconciliation-report", "/runs/{id}/report", "Download a run's report")
	report.Description = "JSON: the figures and every finding. CSV: a row for every finding and every match. The same inputs give the same bytes."
	report.Errors = append(report.Errors, http.StatusConflict)
	report.Responses = map[string]*huma.Response{"200": {Description: "The report", Content: map[string]*huma.MediaType{
		"application/json": {Schema: &huma.Schema{Type: huma.TypeObject}}, "text/csv": {Schema: &huma.Schema{Type: huma.TypeString}},
	}}}
	huma.Register(api, report, h.report)
	huma.Register(api, op("list-reconciliation-matches", "/matches", "List what a run has matched"), h.matches)
	huma.Register(api, op("list-reconciliation-exceptions", "/exceptions", "List what does not agree"), h.exceptions)
	huma.Register(api, op("get-reconciliation-exception", "/exceptions/{id}", "Retrieve an exception"), h.exception)
	huma.Register(api, op("list-reconciliation-audit", "/audit", "Read the audit log"), h.audit)
}

type handlers struct {
	books *Books
	deps  Deps
}

func (h handlers) tenant(ctx context.Context) Tenant {
	partnerID, mode := h.deps.Tenant(ctx)
	return Tenant{partnerID, mode}
}

// Schema describes a Time for the OpenAPI document.
func (Time) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time"}
}

type answer[T any] struct{ Body T }

// ReconciliationList is a page.
type ReconciliationList[T any] struct {
	Data       []T     `json:"data" nullable:"false"`
	NextCursor *string `json:"next_cursor" doc:"Of the next page; null on the last"`
}

// ReconciliationPaging is in the query of every list.
type ReconciliationPaging struct {
	Limit  int32  `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor string `query:"cursor" maxLength:"200" doc:"next_cursor of the page before"`
}

var positionPart = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// position reads the cursor of a list: what the last row of the page before was known by.
func (p ReconciliationPaging) position(list string, parts int) ([]string, error) {
	if p.Cursor == "" {
		return make([]string, parts), nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	found := strings.Split(string(raw), "\n")
	if err != nil || len(found) != parts+1 || found[0] != list || slices.ContainsFunc(found, func(s string) bool { return !positionPart.MatchString(s) }) {
		return nil, problem.BadCursor.New("Use the next_cursor of the page before.")
	}
	return found[1:], nil
}

// list makes a page of up to limit rows from limit + 1.
func list[T, R any](rows []T, limit int32, name string, render func(T) R, key func(T) []string) *answer[ReconciliationList[R]] {
	page := ReconciliationList[R]{Data: []R{}}
	if len(rows) > int(limit) {
		rows = rows[:limit]
		cursor := base64.RawURLEncoding.EncodeToString([]byte(name + "\n" + strings.Join(key(rows[limit-1]), "\n")))
		page.NextCursor = &cursor
	}
	for _, r := range rows {
		page.Data = append(page.Data, render(r))
	}
	return &answer[ReconciliationList[R]]{page}
}

// ReconciliationRun is a run outwards.
type ReconciliationRun struct {
	ID         string  `json:"id" example:"rr_01KAJD3C00QXB1T9C2E5D7F9H1"`
	Object     string  `json:"object" enum:"reconciliation_run"`
	Provider   string  `json:"provider" example:"paypay"`
	ContractID string  `json:"contract_id" doc:"The provider's name for the merchant"`
	Day        string  `json:"day" format:"date" doc:"The provider's day"`
	Status     string  `json:"status" enum:"running,matched,exceptions_open,failed"`
	Version    int32   `json:"version" doc:"The newest complete version; 0: none yet"`
	Stage      string  `json:"stage" doc:"What it was doing last"`
	Error      *string `json:"error" doc:"Why it failed"`
	Tries      int32   `json:"tries" doc:"How often it was run"`
	StartedAt  Time    `json:"started_at"`
	UpdatedAt  Time    `json:"updated_at"`
	FinishedAt *string `json:"finished_at" format:"date-time"`
}

func renderRun(r Run) ReconciliationRun {
	out := ReconciliationRun{
		ID: r.ID, Object: "reconciliation_run", Provider: r.Provider, ContractID: r.ContractID, Day: r.Day, Status: r.Status, Version: r.Version,
		Stage: r.Stage, Tries: r.Tries, StartedAt: Time{r.StartedAt}, UpdatedAt: Time{r.UpdatedAt}, FinishedAt: some(instant(moment(r.FinishedAt))),
	}
	if r.Error != "" {
		out.Error = &r.Error
	}
	return out
}

type runsInput struct {
	ReconciliationPaging
	Day        string `query:"day" format:"date"`
	Provider   string `query:"provider" maxLength:"32"`
	ContractID string `query:"contract_id" maxLength:"64"`
	Status     string `query:"status" enum:"running,matched,exceptions_open,failed"`
}

func (h handlers) runs(ctx context.Context, in *runsInput) (*answer[ReconciliationList[ReconciliationRun]], error) {
	after, err := in.position("runs", 2)
	if err != nil {
		return nil, err
	}
	if after[0] != "" && !pgDay(after[0]).Valid {
		return nil, problem.BadCursor.New("Use the next_cursor of the page before.")
	}
	f := RunFilter{Day: in.Day, Provider: in.Provider, ContractID: in.ContractID, Status: in.Status, AfterDay: after[0], AfterID: after[1]}
	all, err := h.books.Runs(ctx, h.tenant(ctx), f, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return list(all, in.Limit, "runs", renderRun, func(r Run) []string { return []string{r.Day, r.ID} }), nil
}

// ReconciliationFile is a settlement file as it was received.
type ReconciliationFile struct {
	Name       string `json:"name"`
	SHA256     string `json:"sha256"`
	Bytes      int64  `json:"bytes"`
	Version    int32  `json:"version" doc:"Other content for the same day is a new version"`
	ReceivedAt Time   `json:"received_at"`
	ReceivedBy string `json:"received_by"`
}

// ReconciliationRunDetail is one run with all that is known of it.
type ReconciliationRunDetail struct {
	ReconciliationRun
	Files   []ReconciliationFile `json:"files" nullable:"false"`
	Figures *Figures             `json:"figures" doc:"Of the newest complete version"`
}

// ReconciliationID is in the path of one of them.
type ReconciliationID struct {
	ID string `path:"id" maxLength:"40"`
}

func (h handlers) run(ctx context.Context, in *ReconciliationID) (*answer[ReconciliationRunDetail], error) {
	run, files, figures, err := h.books.Run(ctx, h.tenant(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	out := ReconciliationRunDetail{ReconciliationRun: renderRun(run), Files: []ReconciliationFile{}, Figures: figures}
	for _, f := range files {
		out.Files = append(out.Files, ReconciliationFile{f.Name, f.SHA256, f.Bytes, f.Version, Time{f.ReceivedAt}, f.ReceivedBy})
	}
	return &answer[ReconciliationRunDetail]{out}, nil
}

type reportInput struct {
	ReconciliationID
	Format  string `query:"format" enum:"json,csv" default:"json"`
	Version int32  `query:"version" minimum:"0" maximum:"1000000" doc:"Of the run; left out: the newest. Matches in the CSV are always the newest."`
}

func (h handlers) report(ctx context.Context, in *reportInput) (*huma.StreamResponse, error) {
	report, rows, err := h.books.Report(ctx, h.tenant(ctx), in.ID, in.Version)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		name := fmt.Sprintf("%s_%s_%s_v%d.%s", report.Provider, report.ContractID, report.Day, report.Version, in.Format)
		hc.SetHeader("Content-Disposition", `attachment; filename="`+name+`"`)
		write, media := report.WriteJSON, "application/json"
		if in.Format == "csv" {
			write, media = report.WriteCSV, "text/csv; charset=utf-8"
		}
		hc.SetHeader("Content-Type", media)
		if err := write(hc.BodyWriter(), rows); err != nil {
			// Half a report must not look like a whole one: the connection ends without its last chunk.
			slog.ErrorContext(hc.Context(), "report: broken off", "run", report.RunID, "error", err)
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

// ReconciliationMatch is a gateway item and the line that settles it.
type ReconciliationMatch struct {
	Object string `json:"object" enum:"reconciliation_match"`
	Match
}

type matchesInput struct {
	ReconciliationPaging
	RunID string `query:"run_id" required:"true" maxLength:"40"`
}

func (h handlers) matches(ctx context.Context, in *matchesInput) (*answer[ReconciliationList[ReconciliationMatch]], error) {
	after, err := in.position("matches", 1)
	if err != nil {
		return nil, err
	}
	all, err := h.books.Matches(ctx, h.tenant(ctx), in.RunID, after[0], in.Limit+1)
	if err != nil {
		return nil, err
	}
	render := func(m Match) ReconciliationMatch { return ReconciliationMatch{"reconciliation_match", m} }
	return list(all, in.Limit, "matches", render, func(m Match) []string { return []string{matchID(m.GatewayID)} }), nil
}

// ReconciliationException is an exception outwards.
type ReconciliationException struct {
	ID                string   `json:"id" example:"rx_01KAJD3C00QXB1T9C2E5D7F9H1"`
	Object            string   `json:"object" enum:"reconciliation_exception"`
	Provider          string   `json:"provider"`
	ContractID        string   `json:"contract_id"`
	Kind              Kind     `json:"kind" doc:"How the two sides disagree"`
	Status            string   `json:"status" enum:"open,cleared"`
	Severity          Severity `json:"severity" enum:"critical,high,medium,low" doc:"By amount and age, as of now"`
	DueAt             Time     `json:"due_at"`
	Entry             *string  `json:"entry" doc:"charge or refund"`
	GatewayID         *string  `json:"gateway_id" doc:"The attempt, or the refund"`
	PaymentIntentID   *string  `json:"payment_intent_id"`
	GatewayStatus     *string  `json:"gateway_status"`
	GatewayAmount     *int64   `json:"gateway_amount" doc:"Minor unit; negative for refunds"`
	GatewayCurrency   *string  `json:"gateway_currency"`
	GatewayAcceptedAt *string  `json:"gateway_accepted_at" format:"date-time"`
	ProviderPaymentID *string  `json:"provider_payment_id"`
	Reference         *string  `json:"reference" doc:"Our key, as the provider's line has it"`
	ProviderStoreID   *string  `json:"provider_store_id"`
	ProviderOutcome   *string  `json:"provider_outcome" doc:"completed or failed"`
	ProviderAmount    *int64   `json:"provider_amount"`
	ProviderCurrency  *string  `json:"provider_currency"`
	LineDay           *string  `json:"line_day" format:"date" doc:"Of the file that has the line"`
	LineNumber        *int32   `json:"line_number"`
	LineAcceptedAt    *string  `json:"line_accepted_at" format:"date-time"`
	Reason            string   `json:"reason"`
	AtStake           int64    `json:"at_stake" doc:"The money in question, minor unit"`
	OccurredAt        Time     `json:"occurred_at"`
	OpenedDay         string   `json:"opened_day" format:"date"`
	OpenedRunID       string   `json:"opened_run_id"`
	ClearedDay        *string  `json:"cleared_day" format:"date"`
	ClearedRunID      *string  `json:"cleared_run_id"`
	ClearedBy         *string  `json:"cleared_by" doc:"late, matched, agreed or superseded"`
	CreatedAt         Time     `json:"created_at"`
	UpdatedAt         Time     `json:"updated_at"`
}

func (h handlers) render(e Exception) ReconciliationException {
	e.grade(e.Provider, h.deps.Clock())
	return ReconciliationException{
		ID: e.ID, Object: "reconciliation_exception", Provider: e.Provider, ContractID: e.ContractID, Kind: e.Kind, Status: e.Status, Severity: e.Severity,
		DueAt: *e.DueAt, Entry: some(e.Entry), GatewayID: some(e.GatewayID), PaymentIntentID: some(e.PaymentIntentID), GatewayStatus: some(e.GatewayStatus),
		GatewayAmount: e.GatewayAmount, GatewayCurrency: some(e.GatewayCurrency), GatewayAcceptedAt: some(instant(e.GatewayAcceptedAt)),
		ProviderPaymentID: some(e.ProviderPaymentID), Reference: some(e.Reference), ProviderStoreID: some(e.ProviderStoreID),
		ProviderOutcome: some(e.ProviderOutcome), ProviderAmount: e.ProviderAmount, ProviderCurrency: some(e.ProviderCurrency),
		LineDay: some(e.LineDay), LineNumber: some(e.LineNumber), LineAcceptedAt: some(instant(e.LineAcceptedAt)), Reason: e.Reason, AtStake: e.AtStake,
		OccurredAt: *e.OccurredAt, OpenedDay: e.OpenedDay, OpenedRunID: e.OpenedRunID, ClearedDay: some(e.ClearedDay), ClearedRunID: some(e.ClearedRunID),
		ClearedBy: some(e.ClearedBy), CreatedAt: Time{e.CreatedAt}, UpdatedAt: Time{e.UpdatedAt},
	}
}

// some is nil for the zero value.
func some[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

type exceptionsInput struct {
	ReconciliationPaging
	Status          string `query:"status" enum:"open,cleared"`
	Kind            string `query:"kind" enum:"missing_at_provider,missing_at_gateway,amount_differs,currency_differs,status_differs,duplicate_at_provider,refund_without_charge,unparsable"`
	Provider        string `query:"provider" maxLength:"32"`
	ContractID      string `query:"contract_id" maxLength:"64"`
	OpenedDay       string `query:"opened_day" format:"date"`
	PaymentIntentID string `query:"payment_intent_id" maxLength:"40"`
}

func (h handlers) exceptions(ctx context.Context, in *exceptionsInput) (*answer[ReconciliationList[ReconciliationException]], error) {
	after, err := in.position("exceptions", 1)
	if err != nil {
		return nil, err
	}
	all, err := h.books.Exceptions(ctx, h.tenant(ctx), ExceptionFilter{
		Status: in.Status, Kind: in.Kind, Provider: in.Provider, ContractID: in.ContractID, OpenedDay: in.OpenedDay, PaymentIntentID: in.PaymentIntentID,
		After: after[0],
	}, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return list(all, in.Limit, "exceptions", h.render, func(e Exception) []string { return []string{e.ID} }), nil
}

func (h handlers) exception(ctx context.Context, in *ReconciliationID) (*answer[ReconciliationException], error) {
	e, err := h.books.Exception(ctx, h.tenant(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return &answer[ReconciliationException]{h.render(e)}, nil
}

// ReconciliationAuditEntry is an entry of the audit log.
type ReconciliationAuditEntry struct {
	Object   string          `json:"object" enum:"reconciliation_audit_entry"`
	Number   int64           `json:"number" doc:"From 1, without a hole"`
	At       Time            `json:"at"`
	Actor    ReconcileActor  `json:"actor"`
	Action   string          `json:"action" example:"run.completed"`
	Subject  string          `json:"subject"`
	Detail   json.RawMessage `json:"detail"`
	Previous string          `json:"previous" doc:"The hash of the entry before, hex"`
	Hash     string          `json:"hash" doc:"SHA-256 over this entry and the hash before it, hex"`
}

// ReconcileActor is who did it.
type ReconcileActor struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role"`
}

func (h handlers) audit(ctx context.Context, in *ReconciliationPaging) (*answer[ReconciliationList[ReconciliationAuditEntry]], error) {
	position, err := in.position("audit", 1)
	if err != nil {
		return nil, err
	}
	after, err := strconv.ParseInt("0"+position[0], 10, 64)
	if err != nil {
		return nil, problem.BadCursor.New("Use the next_cursor of the page before.")
	}
	all, err := h.books.Audit(ctx, h.tenant(ctx), after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return list(all, in.Limit, "audit", func(e auditEntry) ReconciliationAuditEntry {
		return ReconciliationAuditEntry{
			"reconciliation_audit_entry", e.Number,
			Time{e.At},
			ReconcileActor(e.Actor), e.Action, e.Subject, json.RawMessage(e.Detail),
			hex.EncodeToString(e.Previous), hex.EncodeToString(e.Hash),
		}
	}, func(e auditEntry) []string { return []string{strconv.FormatInt(e.Number, 10)} }), nil
}

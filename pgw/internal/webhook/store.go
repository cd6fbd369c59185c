package webhook

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/provider"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Ask makes the gateway ask the provider about a payment soon, once tx is committed: the question and the memory of the
// notification are one, so that a crash between the two does not leave a notification that is taken for a repeated one.
// attemptID is our id as the notification has it, paymentID the provider's own; either may be empty, or made up.
type Ask func(ctx context.Context, tx pgx.Tx, providerName, attemptID, paymentID string) error

// Service takes notifications.
type Service struct {
	db        *pgxpool.Pool
	providers *provider.Registry
	ask       Ask
	now       clock.Clock
	hosts     []string
}

// New makes a Service.
func New(db *pgxpool.Pool, providers *provider.Registry, ask Ask, now clock.Clock, cfg Config) *Service {
	for _, name := range providers.Names() {
		names.WebhooksReceived.AtZero(names.Provider.Is(name))
	}
	return &Service{db: db, providers: providers, ask: ask, now: now, hosts: cfg.FileHosts}
}

var notifications = postgres.CrossTenant("pgw.notifications")

// Receive keeps a notification and does what it is good for. problem.NotFound for an unknown provider, Refused,
// problem.Malformed.
func (s *Service) Receive(ctx context.Context, providerName string, r provider.WebhookRequest) error {
	p, ok := s.providers.Get(providerName)
	if !ok {
		return problem.NotFound.New("There is no provider %s.", providerName)
	}
	outcome, err := s.receive(ctx, p, r)
	if outcome == "refused" {
		slog.WarnContext(ctx, "webhook refused", "provider", providerName, "source", r.SourceIP, "error", err)
	}
	if outcome != "" {
		names.WebhooksReceived.Add(ctx, 1, names.Provider.Is(providerName), names.HookOutcome.Is(outcome))
	}
	return err
}

// receive says what became of a notification: accepted, duplicate, refused, or unmatched when it is about nothing that is known; ""
// when it could not be kept.
func (s *Service) receive(ctx context.Context, p provider.Facts, r provider.WebhookRequest) (outcome string, err error) {
	providerName := p.Name()
	notice, err := p.ReadWebhook(r)
	switch {
	case errors.Is(err, provider.ErrWebhookRefused):
		return "refused", Refused.New("Notifications are taken from the provider only.").Wrap(err)
	case err != nil:
		return "refused", problem.Malformed.New("The notification cannot be read.").Wrap(err)
	}
	if err := checkPayload(r.Body); err != nil {
		return "refused", err
	}
	isNew, err := s.keep(ctx, providerName, r, notice)
	switch {
	case err != nil:
		return "", err
	case !isNew:
		return "duplicate", nil
	case kindOf(notice) == aboutOther:
		return "unmatched", nil
	}
	return "accepted", nil
}

// keep stores the notification, with the question or the file that follows from it, and says whether it is new today.
func (s *Service) keep(ctx context.Context, providerName string, r provider.WebhookRequest, notice provider.Notice) (isNew bool, err error) {
	now := s.now()
	source, err := netip.ParseAddr(r.SourceIP)
	if err != nil {
		source = netip.IPv6Unspecified()
	}
	err = postgres.InTx(ctx, s.db, notifications, "pgw.webhook.keep", func(ctx context.Context, tx pgx.Tx) error {
		q := pgwdb.New(tx)
		repeats, err := q.KeepNotification(ctx, pgwdb.KeepNotificationParams{
			ID: notificationID(providerName, r.Body, now), Provider: providerName, Source: source, Payload: string(r.Body),
			Kind: string(kindOf(notice)), ReceivedAt: now,
		})
		isNew = repeats == 0
		switch {
		case err != nil || !isNew:
			return err
		case kindOf(notice) == aboutPayment:
			return s.ask(ctx, tx, providerName, notice.AttemptID, notice.PaymentID)
		case kindOf(notice) == aboutOther:
			return nil
		}
		if err := checkFileURL(notice.FileURL, s.hosts); err != nil {
			slog.WarnContext(ctx, "webhook: file left alone", "provider", providerName, "error", err)
			return nil
		}
		return q.AnnounceFile(ctx, pgwdb.AnnounceFileParams{
			ID: id.NewULID("pf", now), Provider: providerName, ContractID: contractOf(notice.FileName), Name: notice.FileName,
			Url: notice.FileURL, AnnouncedAt: now,
		})
	})
	return isNew, err
}

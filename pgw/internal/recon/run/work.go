package run

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/mpac-cloud/mpac/pgw/internal/recon"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/format"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/match"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/source"
)

// work is a run from the file to the report, with the lock held.
func (m *Matcher) work(ctx context.Context, s *session, o Options, f source.File, sh share) (Outcome, error) {
	before := begun{}
	if !o.DryRun {
		var err error
		if before, err = s.begin(ctx, m.Clock()); err != nil {
			return Outcome{}, err
		}
		if before.continued {
			m.say(s, "an earlier run did not finish, going on with it")
		}
	} else if err := s.peek(ctx, &before); err != nil {
		return Outcome{}, err
	}
	figures := &recon.Figures{}
	if err := m.prepare(ctx, s, f, sh, figures, o.DryRun); err != nil {
		return Outcome{}, err
	}
	c, err := s.plan(ctx)
	if err != nil {
		return Outcome{}, err
	}
	return m.decide(ctx, s, o, f, before, figures, c)
}

// prepare stages both sides and judges them. It writes nothing but the run's stage.
func (m *Matcher) prepare(ctx context.Context, s *session, f source.File, sh share, figures *recon.Figures, dry bool) error {
	stage := func(name string) error {
		if dry {
			return nil
		}
		return s.stage(ctx, name, m.Clock())
	}
	if err := s.openStage(ctx); err != nil {
		return err
	}
	sum, err := m.parse(ctx, s, f, figures)
	if err != nil {
		return err
	}
	figures.File = recon.FileFigures{
		Name: f.Name, Format: f.Format.Name, SHA256: sum, Bytes: f.Bytes, From: recon.Time{Time: f.Info.From}, To: recon.Time{Time: f.Info.To},
		Until: recon.Time{Time: s.window.until}, Partial: f.Info.Partial,
	}
	if sh.shared {
		if err := m.share(ctx, s, sh.first, figures); err != nil {
			return err
		}
	}
	if err := stage("match"); err != nil {
		return err
	}
	items, err := s.takeSnapshot(ctx, s.window)
	if err != nil {
		return err
	}
	m.say(s, "%d items of the gateway", items)
	if err := s.joinExact(ctx, s.dayFrom, s.dayTo); err != nil {
		return err
	}
	if err := stage("classify"); err != nil {
		return err
	}
	if err := s.gatherRest(ctx); err != nil {
		return err
	}
	now := m.Clock()
	return s.judgeRest(ctx, match.Day{Date: s.date, Now: now, Settling: now.Add(-m.Config.Settling)})
}

func (m *Matcher) share(ctx context.Context, s *session, first bool, figures *recon.Figures) error {
	lines, rejected, err := s.leaveToOthers(ctx, first)
	if err != nil {
		return err
	}
	figures.Lines.OfOthers = lines + rejected
	figures.Lines.Total -= lines + rejected
	figures.Lines.Parsed -= lines
	figures.Lines.Rejected -= rejected
	m.say(s, "partner %s: %d lines are of others who share the contract", s.scope.PartnerID, lines+rejected)
	return nil
}

// parse streams the file into the stage and returns the hash of its content.
func (m *Matcher) parse(ctx context.Context, s *session, f source.File, figures *recon.Figures) (sum string, err error) {
	file, err := f.Open()
	if err != nil {
		return "", err
	}
	defer file.Close()
	hashed := newHashed(file)
	reader := f.Format.NewReader(hashed, f.Info.Contract)
	var lines []format.Line
	var rejected []format.Rejection
	for done := false; !done; {
		record, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			done = true
		case err != nil:
			return "", err
		case record.Rejected != nil:
			rejected = append(rejected, *record.Rejected)
		default:
			lines = append(lines, record.Line)
		}
		if len(lines)+len(rejected) >= m.Config.Chunk || done {
			if err := s.copyLines(ctx, lines, rejected); err != nil {
				return "", err
			}
			lines, rejected = lines[:0], rejected[:0]
			m.say(s, "%d lines read", reader.Tally().Lines)
		}
	}
	t := reader.Tally()
	figures.Lines = recon.LineFigures{Total: int64(t.Lines), Parsed: int64(t.Parsed), Rejected: int64(t.Rejected)}
	return hashed.sum(), nil
}

// decide compares with what is complete and posts what is new.
func (m *Matcher) decide(ctx context.Context, s *session, o Options, f source.File, before begun, figures *recon.Figures, c changes) (Outcome, error) {
	figures.Reason = "first"
	if before.version > 0 {
		sum, complete, err := s.result(ctx, before.version)
		if err != nil {
			return Outcome{}, err
		}
		if sum == figures.File.SHA256 && c.none() && !before.continued {
			return m.same(ctx, s, o, before, complete)
		}
		if figures.Reason = "gateway_changed"; sum != figures.File.SHA256 {
			figures.Reason = "file_changed"
			m.say(s, "the file has changed since version %d: this is version %d", before.version, before.version+1)
		}
	}
	if err := s.count(ctx, figures, c); err != nil {
		return Outcome{}, err
	}
	version := before.version + 1
	if o.DryRun {
		return Outcome{Report: s.report(version, figures), Rows: recon.Rows{
			Findings: func(yield func(recon.Finding) error) error { return s.stagedFindings(ctx, yield) },
			Matches:  func(func(recon.Match) error) error { return nil },
		}}, nil
	}
	if err := m.post(ctx, s, f, figures, version, c); err != nil {
		return Outcome{}, err
	}
	m.say(s, "version %d: %d matched, %d exceptions opened, %d cleared, %d open", version, figures.Matched.Count, figures.Open.Opened, figures.Open.Cleared, figures.Open.After)
	return Outcome{Report: s.report(version, figures), Rows: s.rows(ctx, version)}, nil
}

func (s *session) report(version int32, figures *recon.Figures) recon.Report {
	return recon.NewReport(s.runID, s.scope, s.date, version, *figures)
}

// same ends a run whose inputs were complete already.
func (m *Matcher) same(ctx context.Context, s *session, o Options, before begun, complete recon.Figures) (Outcome, error) {
	report := s.report(before.version, &complete)
	if !o.DryRun {
		if err := s.unchanged(ctx, before.version, report.Status, m.Clock()); err != nil {
			return Outcome{}, err
		}
	}
	m.say(s, "the same file as in version %d, nothing has changed", before.version)
	return Outcome{Report: report, Unchanged: true, Rows: s.rows(ctx, before.version)}, nil
}

// post writes a version: matches in short transactions, each with its events, and all else at the end in one.
func (m *Matcher) post(ctx context.Context, s *session, f source.File, figures *recon.Figures, version int32, c changes) error {
	location, err := m.keep(f, figures.File.SHA256, s)
	if err != nil {
		return err
	}
	figures.File.Version, _, err = s.beginVersion(ctx, f, figures.File.SHA256, location, m.Clock())
	if err != nil {
		return err
	}
	size := int64(m.Config.Batch)
	for after := int64(0); after < c.matches; after += size {
		upto := min(after+size, c.matches)
		if err := s.postBatch(ctx, after, upto, version, m.Clock()); err != nil {
			return err
		}
		if after/20_000 != upto/20_000 {
			m.say(s, "%d of %d matches posted", upto, c.matches)
		}
	}
	if _, err := s.finish(ctx, figures, version, m.Clock()); err != nil {
		return fmt.Errorf("version %d: %w", version, err)
	}
	return nil
}

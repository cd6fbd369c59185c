package jobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/person"
	"github.com/mpac-cloud/mpac/platform/postgres"
)

// Commands are an operator's: `jobs list`, `jobs retry` and `jobs drop`, over the queue of the service of that name, whose tables
// are in schema.
func Commands(service, schema string) *cobra.Command {
	cmd := &cobra.Command{Use: "jobs", Short: "Look after the job queue"}
	cmd.AddCommand(listCommand(service, schema), retryCommand(service, schema), dropCommand(service, schema))
	return cmd
}

// onQueue opens the service's queue for one command.
func onQueue(ctx context.Context, schema string, do func(Queue) error) error {
	cfg, err := config.Load[postgres.Config]()
	if err != nil {
		return err
	}
	var db *pgxpool.Pool
	if db, err = postgres.Open(ctx, cfg); err != nil {
		return err
	}
	defer db.Close()
	return do(Queue{DB: db, Schema: schema})
}

func listCommand(service, schema string) *cobra.Command {
	var state, kind string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List jobs that are not done, those due first, first", Args: cobra.NoArgs,
		Example: "  " + service + " jobs list\n  " + service + " jobs list --state discarded",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkState(state); err != nil {
				return err
			}
			return onQueue(cmd.Context(), schema, func(q Queue) error {
				rows, err := q.List(cmd.Context(), state, kind, limit)
				if err != nil {
					return err
				}
				return show(cmd.OutOrStdout(), rows)
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "only of this state: available, running, retryable, scheduled, discarded")
	cmd.Flags().StringVar(&kind, "kind", "", "only of this kind")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many at most")
	return cmd
}

// chosen are the discarded jobs that a command is about: those named, or all.
type chosen struct{ all bool }

func (c *chosen) flag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.all, "all", false, "all that are discarded, a thousand at a time")
}

func (c *chosen) ids(ctx context.Context, q Queue, args []string) (ids []int64, err error) {
	if c.all == (len(args) > 0) {
		return nil, errors.New("name the jobs' ids, or say --all")
	}
	const atOnce = 1000
	if c.all {
		rows, err := q.List(ctx, "discarded", "", atOnce)
		for _, r := range rows {
			ids = append(ids, r.ID)
		}
		return ids, err
	}
	for _, a := range args {
		id, err := strconv.ParseInt(a, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no job's id", a)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func retryCommand(service, schema string) *cobra.Command {
	var which chosen
	cmd := &cobra.Command{
		Use: "retry [ID...]", Short: "Take up again what was given up for good",
		Long: "Take up again what was given up for good. Remove its cause first: a job whose cause is still there is given up again.\n" +
			"Every job of the platform may run twice: what it asks others to do carries a key.",
		Example: "  " + service + " jobs retry 4711\n  " + service + " jobs retry --all",
		RunE: func(cmd *cobra.Command, args []string) error {
			return onQueue(cmd.Context(), schema, func(q Queue) error {
				ids, err := which.ids(cmd.Context(), q, args)
				if err != nil {
					return err
				}
				if err := q.Retry(cmd.Context(), ids); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d jobs are due again\n", len(ids))
				return err
			})
		},
	}
	which.flag(cmd)
	return cmd
}

func dropCommand(service, schema string) *cobra.Command {
	var by, why string
	cmd := &cobra.Command{
		Use: "drop ID...", Short: "Give up for good, by a person's word, what was discarded", Args: cobra.MinimumNArgs(1),
		Long:    "Give up for good, by a person's word, what was discarded. The job stays for 30 days as cancelled, with who said so and why.",
		Example: "  " + service + " jobs drop 4711 --by hanako@example.com --because 'the merchant was closed on 2026-11-20'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return onQueue(cmd.Context(), schema, func(q Queue) error {
				ids, err := (&chosen{}).ids(cmd.Context(), q, args)
				if err != nil {
					return err
				}
				if by, err = person.Address(by); err != nil {
					return err
				}
				if err := q.Drop(cmd.Context(), ids, by, why); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d jobs are dropped\n", len(ids))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&by, "by", "", "you: your own address at work")
	cmd.Flags().StringVar(&why, "because", "", "why")
	_ = cmd.MarkFlagRequired("by")
	_ = cmd.MarkFlagRequired("because")
	return cmd
}

package event

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// Commands are an operator's: `feed status` and `feed new-epoch`. status connects and calls ReadStatus, newEpoch NewEpoch.
func Commands(status func(ctx context.Context) (Status, error), newEpoch func(ctx context.Context, shards int16) (string, error)) *cobra.Command {
	feed := &cobra.Command{Use: "feed", Short: "Look after the event feed"}
	feed.AddCommand(&cobra.Command{
		Use: "status", Short: "Say how many events wait for their place, who numbers them, and what may hold them up", Args: cobra.NoArgs,
		Long: "Say how many events wait for their place, who numbers them, and which transactions have been open for long. Exit code 1 when nobody\n" +
			"numbers them.",
		Example: "  pgw-backend feed status",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := status(cmd.Context())
			if err != nil {
				return err
			}
			return s.show(cmd.OutOrStdout())
		},
	})
	var shards int16
	epoch := &cobra.Command{
		Use: "new-epoch", Short: "Make every cursor handed out so far expire: after a restore, or to change the number of shards",
		Long: "After the database was restored to an earlier moment, positions that readers have seen are given out again. A new epoch\n" +
			"answers their cursors with 410 cursor_expired and the way to resync. Run it before the gateway is started again.",
		Example: "  pgw-backend feed new-epoch --shards 1", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, err := newEpoch(cmd.Context(), shards)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "epoch %s, %d shards\n", name, shards)
			return err
		},
	}
	epoch.Flags().Int16Var(&shards, "shards", 1, "how many shards each feed has from now on (1-1024)")
	feed.AddCommand(epoch)
	return feed
}

func (s Status) show(out io.Writer) error {
	_, _ = fmt.Fprintf(out, "%d events wait for their place\n", s.Waiting)
	for _, l := range s.Leaders {
		_, _ = fmt.Fprintf(out, "numbered by the session with pid %d of PostgreSQL, from %s, last heard of at %s\n", l.PID, l.Address, l.At.UTC().Format(time.RFC3339))
	}
	for _, l := range s.Long {
		_, _ = fmt.Fprintf(out, "open since %s: pid %d of PostgreSQL, from %s: %s\n", l.At.UTC().Format(time.RFC3339), l.PID, l.Address, l.Query)
	}
	if len(s.Leaders) == 0 {
		return errors.New("nobody numbers events: no task of pgw-backend holds the lease")
	}
	return nil
}

package event

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

// Commands are an operator's: `feed new-epoch`. newEpoch connects and calls NewEpoch.
func Commands(newEpoch func(ctx context.Context, shards int16) (string, error)) *cobra.Command {
	feed := &cobra.Command{Use: "feed", Short: "Look after the event feed"}
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

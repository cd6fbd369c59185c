package partner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/handover"
)

// Commands are `partner create`, `partner key add` and `partner key revoke`; open gives them a Store and its end.
func Commands(open func(ctx context.Context) (*Store, func(), error)) *cobra.Command {
	root := &cobra.Command{Use: "partner", Short: "Make client partners and their API keys"}
	keys := &cobra.Command{Use: "key", Short: "Add and revoke a partner's API keys"}
	keys.AddCommand(addKeyCommand(open), revokeKeyCommand(open))
	root.AddCommand(createCommand(open), keys)
	return root
}

func createCommand(open func(ctx context.Context) (*Store, func(), error)) *cobra.Command {
	var p NewPartner
	var as form
	cmd := &cobra.Command{
		Use: "create", Short: "Make a partner with a first API key; the secret is shown this once", Args: cobra.NoArgs,
		Example: "  pgw-backend partner create --name 'Example Pay' --mode test --cors-origin https://till.example.com",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkMode(p.Mode); err != nil {
				return err
			}
			if p.Name == "" {
				return errors.New("--name is missing")
			}
			if err := as.check(); err != nil {
				return err
			}
			store, end, err := open(cmd.Context())
			if err != nil {
				return err
			}
			defer end()
			created, err := store.Create(cmd.Context(), p)
			if err != nil {
				return err
			}
			return show(cmd.OutOrStdout(), created, as)
		},
	}
	cmd.Flags().StringVar(&p.Name, "name", "", "the partner's name")
	cmd.Flags().StringVar(&p.Mode, "mode", Test, "test or live")
	cmd.Flags().BoolVar(&p.Form2Only, "form2-only", false, "refuse signatures of form 1 for this key")
	cmd.Flags().StringArrayVar(&p.Origins, "cors-origin", nil, "browser origin that may use payment tokens (may be repeated; * is any)")
	as.flags(cmd)
	return cmd
}

func addKeyCommand(open func(ctx context.Context) (*Store, func(), error)) *cobra.Command {
	var partnerID, mode string
	var form2Only bool
	var as form
	var life time.Duration
	cmd := &cobra.Command{
		Use: "add", Short: "Give a partner a further key; the secret is shown this once", Args: cobra.NoArgs,
		Example: "  pgw-backend partner key add --partner cp_01JD... --mode live --form2-only --expires-in 8760h",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkMode(mode); err != nil {
				return err
			}
			if err := as.check(); err != nil {
				return err
			}
			store, end, err := open(cmd.Context())
			if err != nil {
				return err
			}
			defer end()
			var expiresAt time.Time
			if life > 0 {
				expiresAt = store.now().Add(life)
			}
			created, err := store.AddKey(cmd.Context(), partnerID, mode, form2Only, expiresAt)
			if err != nil {
				return err
			}
			return show(cmd.OutOrStdout(), created, as)
		},
	}
	cmd.Flags().StringVar(&partnerID, "partner", "", "the partner's id")
	cmd.Flags().StringVar(&mode, "mode", Test, "test or live")
	cmd.Flags().BoolVar(&form2Only, "form2-only", false, "refuse signatures of form 1 for this key")
	cmd.Flags().DurationVar(&life, "expires-in", 0, "how long it is valid; 0: until it is revoked")
	as.flags(cmd)
	_ = cmd.MarkFlagRequired("partner")
	return cmd
}

func revokeKeyCommand(open func(ctx context.Context) (*Store, func(), error)) *cobra.Command {
	return &cobra.Command{
		Use: "revoke API_KEY", Short: "End a key; it is refused within a second", Args: cobra.ExactArgs(1),
		Example: "  pgw-backend partner key revoke pk_test_...",
		RunE: func(cmd *cobra.Command, args []string) error {
			store, end, err := open(cmd.Context())
			if err != nil {
				return err
			}
			defer end()
			ended, err := store.RevokeKey(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if !ended {
				return fmt.Errorf("%s is not an active key", args[0])
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is revoked\n", args[0])
			return err
		},
	}
}

func checkMode(mode string) error {
	if mode != Test && mode != Live {
		return fmt.Errorf("--mode is %q: want test or live", mode)
	}
	return nil
}

// Output is what the environment says of where answers go.
type Output struct {
	Sealed bool `env:"PARTNER_ANSWERS_SEALED" envDefault:"false" doc:"true where output is kept for others to read, as a task's log: partner create and key add want --seal-to"`
}

// form is how a key is shown.
type form struct {
	json   bool
	sealTo string
}

// check refuses, before there is a key, to show it where others read.
func (f *form) check() error {
	out, err := config.Load[Output]()
	if err != nil {
		return err
	}
	if out.Sealed && f.sealTo == "" {
		return errors.New("the secret would be kept in the clear where this output goes: --seal-to is missing (mpac deploy run gives it)")
	}
	return nil
}

func (f *form) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.json, "json", false, "as JSON")
	cmd.Flags().StringVar(&f.sealTo, "seal-to", "", "print the JSON sealed to this key, for a log that others read (mpac deploy run and mpac deploy secrets give it)")
}

func show(w io.Writer, c Created, as form) error {
	if as.sealTo != "" {
		text, err := json.Marshal(c) //nolint:gosec // it is sealed at once
		if err != nil {
			return err
		}
		line, err := handover.Seal(as.sealTo, text)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(w, line)
		return err
	}
	if as.json {
		return json.NewEncoder(w).Encode(c) //nolint:gosec // showing it this once is what the command is for
	}
	_, err := fmt.Fprintf(w, "partner     %s\nmode        %s\nAPI key     %s\nsecret key  %s\n\nThe secret key is not kept: note it now.\n",
		c.PartnerID, c.Mode, c.APIKey, c.SecretKey)
	return err
}

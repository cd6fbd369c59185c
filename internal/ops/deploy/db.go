package deploy

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/infra/engine"
	"github.com/mpac-cloud/mpac/infra/engine/manifest"
)

func dbCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "db", Short: "Reach a deployed database", Example: "  mpac db tunnel --help"}
	cmd.AddCommand(tunnelCommand())
	return cmd
}

// tunnelCommand leads to the payment gateway's database. The other database is reached by one-off tasks only.
func tunnelCommand() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{
		Use: "tunnel", Short: "Open a way to mpac-pgw's database through the bastion", Args: cobra.NoArgs,
		Long: "Open a way to mpac-pgw's database through the bastion by Session Manager: no port is open anywhere, and the session is logged. " +
			"It needs the AWS CLI and its session-manager-plugin; without them the one command is printed. The database then answers on 127.0.0.1; " +
			"log in with a role of your own (IAM authentication), by TLS.",
		Example: "  mpac db tunnel --env dev\n  mpac db tunnel --env prod --port 25432",
	}
	cmd.Flags().StringVar(&f.env, "env", "", "environment: dev, stg or prod")
	cmd.Flags().StringVar(&f.infra, "infra", "infra", "folder of the manifest, the templates and the parameters")
	port := cmd.Flags().Int("port", 15432, "port on 127.0.0.1")
	show := cmd.Flags().Bool("print", false, "print the command, and run nothing")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		e, t, err := f.open(cmd)
		if err != nil {
			return err
		}
		host, args, err := session(e, *port)
		if err != nil {
			return err
		}
		command := "aws " + strings.Join(args, " ")
		aws, missing := tools()
		if *show || missing != "" {
			if missing != "" {
				t.Printf("%s is not on this machine; where it is, run:\n\n", missing)
			}
			t.Printf("  %s\n", command)
			return nil
		}
		t.Printf("%s on 127.0.0.1:%d; Ctrl-C closes it\n", host, *port)
		run := exec.CommandContext(cmd.Context(), aws, args...) //nolint:gosec // the operator's own AWS CLI
		run.Stdin, run.Stdout, run.Stderr = os.Stdin, cmd.OutOrStdout(), cmd.ErrOrStderr()
		return run.Run()
	}
	return cmd
}

// session is the way to the database behind the stack that has a tunnel: the database's host, and what the AWS CLI is told.
func session(e *engine.Engine, port int) (host string, args []string, err error) {
	stacks := e.Manifest.Stacks()
	at := slices.IndexFunc(stacks, func(s *manifest.Stack) bool { return s.Tunnel != nil })
	if at < 0 {
		return "", nil, errors.New("no stack of the manifest has a tunnel")
	}
	s := stacks[at]
	values := map[string]string{}
	for name, output := range map[string]string{"instance": s.Tunnel.Instance, "host": s.Tunnel.Host, "port": s.Tunnel.Port} {
		if values[name], err = e.Output(s.Name, output); err != nil {
			return "", nil, err
		}
	}
	return values["host"], []string{
		"ssm", "start-session", "--region", e.Cloud.Region, "--target", values["instance"], "--document-name", "AWS-StartPortForwardingSessionToRemoteHost",
		"--parameters", fmt.Sprintf("host=%s,portNumber=%s,localPortNumber=%s", values["host"], values["port"], strconv.Itoa(port)),
	}, nil
}

// tools finds the AWS CLI; missing names what is not on this machine.
func tools() (aws, missing string) {
	aws, err := exec.LookPath("aws")
	if err != nil {
		return "", "the AWS CLI"
	}
	if _, err := exec.LookPath("session-manager-plugin"); err != nil {
		return "", "session-manager-plugin"
	}
	return aws, ""
}

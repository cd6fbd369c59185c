// Package secrets makes and rotates what one system must know of another: the token that telemetry is let in with, and the API key that
// mpac-smartpos signs with at mpac-pgw. Each goes into the Secrets Manager entry that the receiving stack takes as a parameter, and
// nowhere else: not into a log, a file or a template. A rotation overlaps: whoever is let in stays so until everybody has the new one.
package secrets

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mpac-cloud/mpac/infra/engine"
	"github.com/mpac-cloud/mpac/infra/engine/manifest"
)

// Keeper keeps one environment's entries.
type Keeper struct {
	Engine *engine.Engine
	Tell   func(format string, args ...any)
}

// unset stands in an entry until there is something to put there: the stacks that take it can be deployed, and say so when they use it.
const unset = "unset"

func (k *Keeper) read(ctx context.Context, name string) (map[string]string, error) {
	fields, err := k.Engine.Cloud.Secret(ctx, k.entry(name))
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	return fields, nil
}

func (k *Keeper) write(ctx context.Context, name, description string, fields map[string]string) error {
	err := k.Engine.Cloud.PutSecret(ctx, k.entry(name), description, fields, map[string]string{"system": "mpac", "environment": k.Engine.Env})
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	return nil
}

func (k *Keeper) entry(name string) string {
	return k.Engine.Manifest.Secrets[name].SecretName(k.Engine.Env)
}

// of are the entries of a kind, in one order.
func (k *Keeper) of(kind string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(k.Engine.Manifest.Secrets)) {
		if k.Engine.Manifest.Secrets[name].Kind == kind {
			names = append(names, name)
		}
	}
	return names
}

// Keep makes the entries that are not there, and fills those that wait for a system that is there by now. What is there stays.
func (k *Keeper) Keep(ctx context.Context) error {
	if err := k.keepToken(ctx); err != nil {
		return err
	}
	for _, name := range k.of(manifest.Partner) {
		if err := k.keepPartner(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

const (
	acceptedIs = "what telemetry is let in with at the collector"
	sentIs     = "what telemetry is sent with"
	partnerIs  = "a client partner's API key at the payment gateway"
)

func newToken() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// Alloy lets one token in (otelcol.auth.bearer), but can be told in which header it stands. So senders have two headers, and both
// tokens while a token changes: one in each. The collector moves from the one to the other in between, and nobody is refused.
var tokenHeaders = [2]string{"Authorization", "X-Mpac-Otlp-Authorization"}

// accepted are the fields of the collector's entry: the token, the header in which it is looked for, and, while it changes, the next
// one, which goes into the other header; it stays there until the senders have let the old one go.
type accepted struct{ token, header, next string }

func acceptedOf(fields map[string]string) accepted {
	a := accepted{fields["token"], fields["header"], fields["next"]}
	if a.header == "" {
		a.header = tokenHeaders[0] // an entry of before there were two
	}
	return a
}

func (a accepted) fields() map[string]string {
	return map[string]string{"token": a.token, "header": a.header, "next": a.next}
}

// other is the header that is not looked at.
func (a accepted) other() string {
	if a.header == tokenHeaders[0] {
		return tokenHeaders[1]
	}
	return tokenHeaders[0]
}

// sent are the fields of a sender's entry: a token in each header, and both as the standard variable takes them. Kong takes them one
// by one.
func (a accepted) sent() map[string]string {
	in := map[string]string{a.header: "Bearer " + a.token, a.other(): "Bearer " + a.token}
	if a.next != "" {
		in[a.other()] = "Bearer " + a.next
	}
	var headers []string
	for _, h := range tokenHeaders {
		headers = append(headers, h+"="+strings.ReplaceAll(in[h], " ", "%20"))
	}
	return map[string]string{"authorization": in[tokenHeaders[0]], "authorization_other": in[tokenHeaders[1]], "headers": strings.Join(headers, ",")}
}

// keepToken makes the collector's entry and gives every sender what it lets in.
func (k *Keeper) keepToken(ctx context.Context) error {
	for _, collector := range k.of(manifest.OTLPAccepted) {
		fields, err := k.read(ctx, collector)
		if err != nil {
			return err
		}
		a := acceptedOf(fields)
		if a.token == "" {
			a.token = newToken()
		}
		if fields["token"] == "" || fields["header"] == "" {
			if err := k.write(ctx, collector, acceptedIs, a.fields()); err != nil {
				return err
			}
			k.Tell("made %s", k.entry(collector))
		}
		for _, sender := range k.of(manifest.OTLPSent) {
			has, err := k.read(ctx, sender)
			if err != nil {
				return err
			}
			if strings.Contains(has["headers"], a.header+"=Bearer%20"+a.token) && has["authorization_other"] != "" {
				continue // also in the middle of a rotation
			}
			if err := k.give(ctx, sender, a); err != nil {
				return err
			}
			k.Tell("made %s", k.entry(sender))
		}
	}
	return nil
}

// give writes a sender's entry and replaces the tasks that read it.
func (k *Keeper) give(ctx context.Context, sender string, a accepted) error {
	if err := k.write(ctx, sender, sentIs, a.sent()); err != nil {
		return err
	}
	return k.roll(ctx, sender)
}

// RotateToken puts a new telemetry token in the place of the old one. First the senders are given both, each in its header; then the
// collector looks for the new one; then the senders let the old one go. From the second step on the old one is refused.
// Interrupted, it carries on where it was.
func (k *Keeper) RotateToken(ctx context.Context) error {
	if err := k.keepToken(ctx); err != nil {
		return err
	}
	for _, collector := range k.of(manifest.OTLPAccepted) {
		fields, err := k.read(ctx, collector)
		if err != nil {
			return err
		}
		a := acceptedOf(fields)
		if a.next != "" {
			k.Tell("a rotation was begun before: carrying it on")
		} else {
			a.next = newToken()
			if err := k.write(ctx, collector, acceptedIs, a.fields()); err != nil {
				return err
			}
		}
		if err := k.rotate(ctx, collector, a); err != nil {
			return err
		}
	}
	return nil
}

func (k *Keeper) rotate(ctx context.Context, collector string, a accepted) error {
	if a.token != a.next {
		for _, sender := range k.of(manifest.OTLPSent) {
			if err := k.give(ctx, sender, a); err != nil {
				return err
			}
		}
		k.Tell("the senders have the new token beside the old one")
		a.token, a.header = a.next, a.other()
		if err := k.write(ctx, collector, acceptedIs, a.fields()); err != nil {
			return err
		}
	}
	if err := k.roll(ctx, collector); err != nil {
		return err
	}
	k.Tell("the collector lets the new token in, and the old one no longer")
	for _, sender := range k.of(manifest.OTLPSent) {
		if err := k.give(ctx, sender, a); err != nil {
			return err
		}
	}
	a.next = ""
	if err := k.write(ctx, collector, acceptedIs, a.fields()); err != nil {
		return err
	}
	k.Tell("the old token is gone")
	return nil
}

// keepPartner makes a partner by a one-off task, when its stack is there and it was not made yet.
func (k *Keeper) keepPartner(ctx context.Context, name string) error {
	fields, err := k.read(ctx, name)
	if err != nil {
		return err
	}
	if fields["partner_id"] != "" {
		return nil
	}
	secret := k.Engine.Manifest.Secrets[name]
	if !k.Engine.Stack(secret.Stack).Settled() {
		if fields["api_key"] != unset {
			if err := k.write(ctx, name, partnerIs, map[string]string{"partner_id": "", "api_key": unset, "secret_key": unset}); err != nil {
				return err
			}
		}
		k.Tell("%s waits for %s: run this again when it is deployed", k.entry(name), secret.Stack)
		return nil
	}
	made, err := k.ask(ctx, secret, "partner", "create", "--name", secret.Partner, "--mode", k.mode(), "--form2-only")
	if err != nil {
		return err
	}
	if err := k.write(ctx, name, partnerIs, map[string]string{"partner_id": made.PartnerID, "api_key": made.APIKey, "secret_key": made.SecretKey}); err != nil {
		return err
	}
	k.Tell("made the partner %s (%s) with the key %s", made.PartnerID, secret.Partner, made.APIKey)
	return k.roll(ctx, name)
}

func (k *Keeper) mode() string {
	if k.Engine.Production() {
		return "live"
	}
	return "test"
}

// made is what the gateway's partner commands print.
type made struct {
	PartnerID string `json:"partner_id"`
	APIKey    string `json:"api_key"`
	SecretKey string `json:"secret_key"`
}

// ask runs the gateway's task with a command whose answer is sealed to a key made for this once.
func (k *Keeper) ask(ctx context.Context, secret manifest.Secret, command ...string) (made, error) {
	text, lines, err := k.Engine.RunSealed(ctx, k.Engine.Manifest.Stack(secret.Stack), secret.Task, command...)
	if err != nil {
		return made{}, fmt.Errorf("%w; it said: %q", err, lines)
	}
	var m made
	if err := json.Unmarshal(text, &m); err != nil || m.APIKey == "" || m.SecretKey == "" {
		return made{}, fmt.Errorf("the partner's key is not complete")
	}
	return m, nil
}

// RotatePartner gives a partner a new key. The old one stays valid until every task has the new one; then it is revoked. Interrupted,
// it carries on where it was.
func (k *Keeper) RotatePartner(ctx context.Context, name string) error {
	fields, err := k.read(ctx, name)
	if err != nil {
		return err
	}
	if fields["partner_id"] == "" {
		return fmt.Errorf("%s has no partner yet: run mpac deploy secrets --env %s", k.entry(name), k.Engine.Env)
	}
	secret := k.Engine.Manifest.Secrets[name]
	old := fields["previous_api_key"]
	if old == "" {
		fresh, err := k.ask(ctx, secret, "partner", "key", "add", "--partner", fields["partner_id"], "--mode", k.mode(), "--form2-only")
		if err != nil {
			return err
		}
		old = fields["api_key"]
		fields = map[string]string{"partner_id": fields["partner_id"], "api_key": fresh.APIKey, "secret_key": fresh.SecretKey, "previous_api_key": old}
		if err := k.write(ctx, name, partnerIs, fields); err != nil {
			return err
		}
		k.Tell("%s has the new key %s", k.entry(name), fresh.APIKey)
	} else {
		k.Tell("a rotation was begun before: carrying it on")
	}
	if err := k.roll(ctx, name); err != nil {
		return err
	}
	lines, err := k.Engine.RunTask(ctx, k.Engine.Manifest.Stack(secret.Stack), secret.Task, "partner", "key", "revoke", old)
	if err != nil {
		return fmt.Errorf("the old key %s is not revoked: %w; it said: %q", old, err, lines)
	}
	delete(fields, "previous_api_key")
	if err := k.write(ctx, name, partnerIs, fields); err != nil {
		return err
	}
	k.Tell("the old key %s is revoked", old)
	return nil
}

// roll replaces the tasks that read an entry: they read it when they start. Stacks that are not there have none.
func (k *Keeper) roll(ctx context.Context, name string) error {
	for _, s := range k.Engine.Manifest.Stacks() {
		reads := false
		for _, source := range s.Parameters {
			reads = reads || source.Secret == name
		}
		now := k.Engine.Stack(s.Name)
		if !reads || !now.Settled() {
			continue
		}
		for _, service := range running(s) {
			output := now.Outputs[service.output]
			at, err := k.Engine.Cloud.Service(ctx, now.Outputs[service.cluster], output)
			if err != nil {
				return fmt.Errorf("%w", err)
			}
			if at.Desired == 0 {
				continue
			}
			k.Tell("replacing the tasks of %s", output)
			if err := k.Engine.Cloud.Roll(ctx, now.Outputs[service.cluster], output); err != nil {
				return fmt.Errorf("%w", err)
			}
		}
	}
	return nil
}

type ecsService struct{ cluster, output string }

// running are all ECS services of a stack, by the names of their outputs.
func running(s *manifest.Stack) []ecsService {
	var all []ecsService
	for _, name := range s.ServiceNames() {
		for _, c := range manifest.Colors {
			all = append(all, ecsService{s.Services[name].ClusterOutput(), s.Services[name].ServiceOutput(c)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Rolling)) {
		all = append(all, ecsService{s.Rolling[name].ClusterOutput(), s.Rolling[name].Service})
	}
	return all
}

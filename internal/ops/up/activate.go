package up

import (
	"context"
	"crypto/ecdsa"
	"net/url"

	"github.com/mpac-cloud/mpac/internal/ops/api"
)

// Activated is what a terminal learns when it is activated.
type Activated struct {
	ClientID   string `json:"client_id"`
	TerminalID string `json:"terminal_id"`
	MerchantID string `json:"merchant_id"`
	StoreID    string `json:"store_id"`
}

// Activate registers a terminal in a store, as somebody who may, and activates it with its own key, as the terminal would. One that
// is there and active already, from a start that was cut short, is returned as it is.
func Activate(ctx context.Context, c api.Client, store, serial, name string, key *ecdsa.PrivateKey) (Activated, error) {
	type terminal struct {
		ID           string `json:"id"`
		SerialNumber string `json:"serial_number"`
		ClientID     string `json:"client_id"`
	}
	var there struct {
		Data []terminal `json:"data"`
	}
	if err := c.Get(ctx, "/api/v1/terminals", url.Values{"store_id": {store}, "serial_number": {serial}}, &there); err != nil {
		return Activated{}, err
	}
	var t terminal
	if len(there.Data) > 0 {
		t = there.Data[0]
	} else if err := c.Post(ctx, "/api/v1/terminals", "terminals/"+serial, map[string]any{
		"store_id": store, "serial_number": serial, "model": "MPAC S1", "name": name,
	}, &t); err != nil {
		return Activated{}, err
	}
	if t.ClientID != "" {
		return Activated{ClientID: t.ClientID, TerminalID: t.ID, StoreID: store}, nil
	}
	var code struct {
		ActivationCode string `json:"activation_code"`
	}
	if err := c.Post(ctx, "/api/v1/device/provision/generateActivationCode", "", map[string]string{"terminal_id": t.ID}, &code); err != nil {
		return Activated{}, err
	}
	public, err := api.PublicJWK(key)
	if err != nil {
		return Activated{}, err
	}
	var a Activated
	open := api.Client{Base: c.Base} // a new terminal has no token
	err = open.Post(ctx, "/api/v1/device/provision/activate", "", map[string]any{"activation_code": code.ActivationCode, "public_key": public}, &a)
	return a, err
}

package sync

import (
	"encoding/json"

	"github.com/google/uuid"
)

// Credentials are what a payment provider gave a merchant to sign with. They are kept sealed and leave only towards the gateway.
type Credentials struct {
	APIKey    string `json:"api_key" minLength:"1" maxLength:"500"`
	APISecret string `json:"api_secret" minLength:"1" maxLength:"500"`
}

// Marshal is the form that is sealed.
func (c Credentials) Marshal() []byte {
	// Two strings always marshal.
	raw, _ := json.Marshal(c) //nolint:gosec // to be sealed
	return raw
}

// CredentialsPlace names where a configuration's credentials are kept: they open nowhere else.
func CredentialsPlace(configID uuid.UUID) []string {
	return []string{"portal.provider_configs", "credentials_sealed", configID.String()}
}

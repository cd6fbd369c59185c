package sealed

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/mpac-cloud/mpac/platform/clock"
)

// Config says who keeps the wrapping key: AWS KMS in the cloud, a file on a machine that has none.
type Config struct {
	KeyFile string `env:"SEAL_KEY_FILE" doc:"file of the keys that wrap data keys: lines name:base64(32 bytes), the first seals, all open; the service's seal-key command makes a line. This or SEAL_KMS_KEY"`
	KMSKey  string `env:"SEAL_KMS_KEY" doc:"ARN of the AWS KMS key that wraps data keys"`
}

// Check refuses none and both.
func (c Config) Check() error {
	if (c.KeyFile == "") == (c.KMSKey == "") {
		return errors.New("  SEAL_KEY_FILE or SEAL_KMS_KEY must be set, and not both")
	}
	return nil
}

// Open makes a Sealer of what keeps the key. Errors name the file and line and never what is in it.
func Open(cfg Config, now clock.Clock) (*Sealer, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if cfg.KMSKey != "" {
		keeper, err := OpenKMS(context.Background(), cfg.KMSKey)
		if err != nil {
			return nil, err
		}
		return New(keeper, now), nil
	}
	file, err := ReadKeyFile(cfg.KeyFile)
	if err != nil {
		return nil, err
	}
	return New(file, now), nil
}

// KeyFile wraps data keys under keys read from a file. The first key wraps, all unwrap: to rotate, put a new line on top.
type KeyFile struct {
	first string
	keys  map[string]cipher.AEAD
}

// ReadKeyFile reads lines of name:base64(32 bytes); empty lines and lines with # in front are skipped.
func ReadKeyFile(path string) (*KeyFile, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("SEAL_KEY_FILE: %w", err)
	}
	k := &KeyFile{keys: map[string]cipher.AEAD{}}
	for n, line := range strings.Split(string(content), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := k.add(line); err != nil {
			return nil, fmt.Errorf("SEAL_KEY_FILE: %s line %d: %w", path, n+1, err)
		}
	}
	if k.first == "" {
		return nil, fmt.Errorf("SEAL_KEY_FILE: %s holds no key", path)
	}
	return k, nil
}

func (k *KeyFile) add(line string) error {
	name, encoded, _ := strings.Cut(line, ":")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(raw) != dataKeySize || name == "" || len(name) > 255 || k.keys[name] != nil {
		return errors.New("want name:base64(32 bytes), each name once")
	}
	aead, err := newAEAD(raw)
	if err != nil {
		return err
	}
	k.keys[name] = aead
	if k.first == "" {
		k.first = name
	}
	return nil
}

// NewKeyLine makes a line for a key file, with a fresh key.
func NewKeyLine(name string) string {
	raw := make([]byte, dataKeySize)
	_, _ = rand.Read(raw)
	return name + ":" + base64.StdEncoding.EncodeToString(raw)
}

// Wrap seals a data key under the first key: length and name of the key, nonce, ciphertext.
func (k *KeyFile) Wrap(_ context.Context, dataKey []byte) ([]byte, error) {
	aead := k.keys[k.first]
	out := append([]byte{byte(len(k.first))}, k.first...) //nolint:gosec // add keeps names under 256 bytes
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce)
	out = append(out, nonce...)
	return aead.Seal(out, nonce, dataKey, []byte(k.first)), nil
}

// Unwrap opens a data key with the key that its name says.
func (k *KeyFile) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	if len(wrapped) == 0 || len(wrapped) < 1+int(wrapped[0]) {
		return nil, ErrUnreadable
	}
	name, rest := string(wrapped[1:1+int(wrapped[0])]), wrapped[1+int(wrapped[0]):]
	aead, ok := k.keys[name]
	if !ok {
		return nil, fmt.Errorf("%w: the key file has no key %q", ErrUnreadable, name)
	}
	if len(rest) < aead.NonceSize() {
		return nil, ErrUnreadable
	}
	raw, err := aead.Open(nil, rest[:aead.NonceSize()], rest[aead.NonceSize():], []byte(name))
	if err != nil {
		return nil, ErrUnreadable
	}
	return raw, nil
}

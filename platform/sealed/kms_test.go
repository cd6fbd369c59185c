package sealed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/sealed"
)

const keyARN = "arn:aws:kms:ap-northeast-1:111122223333:key/01234567-89ab-cdef-0123-456789abcdef"

// fakeKMS wraps by writing the key's name before the plaintext; enough to see what is asked and what is made of the answers.
func fakeKMS(t *testing.T) *kms.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			KeyId                     string
			Plaintext, CiphertextBlob []byte
			EncryptionContext         map[string]string
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.EncryptionContext["mpac"] != "data-key" {
			t.Errorf("asked with %v (%v)", in.EncryptionContext, err)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		mark := []byte(in.KeyId + "|")
		switch operation := r.Header.Get("X-Amz-Target"); {
		case strings.HasSuffix(operation, ".Encrypt"):
			_ = json.NewEncoder(w).Encode(map[string]any{"KeyId": in.KeyId, "CiphertextBlob": append(mark, in.Plaintext...)})
		case bytes.HasPrefix(in.CiphertextBlob, mark):
			_ = json.NewEncoder(w).Encode(map[string]any{"KeyId": in.KeyId, "Plaintext": in.CiphertextBlob[len(mark):]})
		default:
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"__type": "InvalidCiphertextException"})
		}
	}))
	t.Cleanup(server.Close)
	return kms.New(kms.Options{
		Region: "ap-northeast-1", BaseEndpoint: aws.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "example", ""),
	})
}

func TestKMSKeepsTheWrappingKey(t *testing.T) {
	t.Parallel()
	ctx, client := context.Background(), fakeKMS(t)
	one := sealed.New(sealed.NewKMS(client, keyARN), clock.System(0))
	blob, err := one.Seal(ctx, []byte("provider's secret"), "table", "column", "row")
	if err != nil {
		t.Fatal(err)
	}
	// Another task, which has nothing in memory, opens it; another place, and another key, do not.
	plain, err := sealed.New(sealed.NewKMS(client, keyARN), clock.System(0)).Open(ctx, blob, "table", "column", "row")
	if err != nil || string(plain) != "provider's secret" {
		t.Fatalf("opened %q (%v)", plain, err)
	}
	if _, err := one.Open(ctx, blob, "table", "column", "other row"); !errors.Is(err, sealed.ErrUnreadable) {
		t.Errorf("in another place: %v", err)
	}
	stranger := sealed.New(sealed.NewKMS(client, keyARN+"0"), clock.System(0))
	if _, err := stranger.Open(ctx, blob, "table", "column", "row"); !errors.Is(err, sealed.ErrUnreadable) {
		t.Errorf("under another key: %v", err)
	}
}

func TestOneKeeperAndNotTwo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg sealed.Config
		ok  bool
	}{
		{sealed.Config{}, false}, {sealed.Config{KeyFile: "f", KMSKey: keyARN}, false}, {sealed.Config{KeyFile: "f"}, true}, {sealed.Config{KMSKey: keyARN}, true},
	} {
		if err := c.cfg.Check(); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.cfg, err)
		}
	}
}

package sealed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/mpac-cloud/mpac/platform/failpoint"
)

// kmsTimeout is the longest that a key is waited for, with the client's own retries.
const kmsTimeout = 5 * time.Second

// KMS wraps data keys under a key of AWS KMS, which never leaves it. KMS itself turns the key's material over and opens what the
// older material wrapped.
type KMS struct {
	client *kms.Client
	key    string
}

// OpenKMS makes a Keeper of a KMS key, by its ARN. It asks AWS for nothing until a key is wrapped.
func OpenKMS(ctx context.Context, key string) (*KMS, error) {
	cfg, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("SEAL_KMS_KEY: %w", err)
	}
	if cfg.Region == "" {
		return nil, errors.New("SEAL_KMS_KEY needs AWS_REGION")
	}
	return NewKMS(kms.NewFromConfig(cfg), key), nil
}

// NewKMS is OpenKMS with a client that is there.
func NewKMS(client *kms.Client, key string) *KMS { return &KMS{client: client, key: key} }

// purpose is bound to what is wrapped: nothing else that the key ever encrypts opens as a data key.
var purpose = map[string]string{"mpac": "data-key"}

// Wrap encrypts a data key.
func (k *KMS) Wrap(ctx context.Context, dataKey []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, kmsTimeout)
	defer cancel()
	failpoint.Hit("kms.wrap.before")
	out, err := k.client.Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String(k.key), Plaintext: dataKey, EncryptionContext: purpose})
	failpoint.Hit("kms.wrap.after")
	if err != nil {
		return nil, fmt.Errorf("wrap a data key: %w", err)
	}
	return out.CiphertextBlob, nil
}

// Unwrap gives a data key back; ErrUnreadable when it was not wrapped under this key.
func (k *KMS) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, kmsTimeout)
	defer cancel()
	failpoint.Hit("kms.unwrap.before")
	out, err := k.client.Decrypt(ctx, &kms.DecryptInput{KeyId: aws.String(k.key), CiphertextBlob: wrapped, EncryptionContext: purpose})
	failpoint.Hit("kms.unwrap.after")
	var malformed *types.InvalidCiphertextException
	var other *types.IncorrectKeyException
	if errors.As(err, &malformed) || errors.As(err, &other) {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if err != nil {
		return nil, fmt.Errorf("unwrap a data key: %w", err)
	}
	return out.Plaintext, nil
}

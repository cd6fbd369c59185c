package cloud

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// SecretARN is the address of an entry; "" when there is none.
func (c *Cloud) SecretARN(ctx context.Context, name string) (string, error) {
	out, err := c.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &name})
	if hasCode(err, "ResourceNotFoundException") {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("secret %s: %w", name, err)
	}
	if out.DeletedDate != nil {
		return "", fmt.Errorf("secret %s was deleted and is still kept: restore it (aws secretsmanager restore-secret), or wait", name)
	}
	return aws.ToString(out.ARN), nil
}

// Secret reads an entry's fields; nil when there is none.
func (c *Cloud) Secret(ctx context.Context, name string) (map[string]string, error) {
	out, err := c.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
	if hasCode(err, "ResourceNotFoundException") {
		return nil, nil //nolint:nilnil // no entry is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", name, err)
	}
	fields := map[string]string{}
	if err := json.Unmarshal([]byte(aws.ToString(out.SecretString)), &fields); err != nil {
		return nil, fmt.Errorf("secret %s is not what mpac deploy secrets writes", name) // the error would tell of the content
	}
	return fields, nil
}

// PutSecret writes an entry's fields, and makes the entry when there is none.
func (c *Cloud) PutSecret(ctx context.Context, name, description string, fields, tags map[string]string) error {
	text, err := json.Marshal(fields)
	if err != nil {
		return fmt.Errorf("secret %s: %w", name, err)
	}
	_, err = c.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: aws.String(string(text))})
	if hasCode(err, "ResourceNotFoundException") {
		in := &secretsmanager.CreateSecretInput{Name: &name, Description: &description, SecretString: aws.String(string(text))}
		for k, v := range tags {
			in.Tags = append(in.Tags, types.Tag{Key: aws.String(k), Value: aws.String(v)})
		}
		_, err = c.secrets.CreateSecret(ctx, in)
	}
	if err != nil {
		return fmt.Errorf("secret %s: %w", name, err)
	}
	return nil
}

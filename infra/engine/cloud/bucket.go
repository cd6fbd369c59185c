package cloud

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Bucket is the name of the account's artefact bucket.
func (c *Cloud) Bucket() string { return "mpac-artefacts-" + c.Account + "-" + c.Region }

func isStatus(err error, status int) bool {
	var answer *smithyhttp.ResponseError
	return errors.As(err, &answer) && answer.HTTPStatusCode() == status
}

// BucketTags are the artefact bucket's tags; nil when bootstrap has not made it yet.
func (c *Cloud) BucketTags(ctx context.Context) (map[string]string, error) {
	out, err := c.s3.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: aws.String(c.Bucket())})
	if err != nil {
		if hasCode(err, "NoSuchBucket") || isStatus(err, http.StatusNotFound) && !hasCode(err, "NoSuchTagSet") {
			return nil, nil //nolint:nilnil // no bucket is an answer
		}
		if hasCode(err, "NoSuchTagSet") {
			return map[string]string{}, nil
		}
		return nil, fmt.Errorf("bucket %s: %w", c.Bucket(), err)
	}
	tags := map[string]string{}
	for _, t := range out.TagSet {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return tags, nil
}

// MakeBucket makes the artefact bucket, unless it is there, and sets it to what it must be: private, encrypted, versioned, TLS only,
// old versions cleared away.
func (c *Cloud) MakeBucket(ctx context.Context, tags map[string]string) (made bool, err error) {
	name := aws.String(c.Bucket())
	_, err = c.s3.CreateBucket(ctx, &s3.CreateBucketInput{
		Bucket: name, ObjectOwnership: types.ObjectOwnershipBucketOwnerEnforced,
		CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(c.Region)},
	})
	made = err == nil
	if err != nil && !hasCode(err, "BucketAlreadyOwnedByYou") {
		return false, fmt.Errorf("bucket %s: %w", *name, err)
	}
	set := make([]types.Tag, 0, len(tags))
	for k, v := range tags {
		set = append(set, types.Tag{Key: aws.String(k), Value: aws.String(v)})
	}
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"TlsOnly","Effect":"Deny","Principal":"*","Action":"s3:*",`+
		`"Resource":["arn:aws:s3:::%[1]s","arn:aws:s3:::%[1]s/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`, *name)
	_, err1 := c.s3.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: name, PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{
		BlockPublicAcls: aws.Bool(true), BlockPublicPolicy: aws.Bool(true), IgnorePublicAcls: aws.Bool(true), RestrictPublicBuckets: aws.Bool(true),
	}})
	_, err2 := c.s3.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{Bucket: name, ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{
		Rules: []types.ServerSideEncryptionRule{{ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAes256}}},
	}})
	_, err3 := c.s3.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: name, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	_, err4 := c.s3.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: name, Policy: &policy})
	_, err5 := c.s3.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: name, LifecycleConfiguration: &types.BucketLifecycleConfiguration{
		Rules: []types.LifecycleRule{{
			ID: aws.String("old"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("")},
			NoncurrentVersionExpiration:    &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(90)},
			AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(7)},
		}},
	}})
	_, err6 := c.s3.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: name, Tagging: &types.Tagging{TagSet: set}})
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return made, fmt.Errorf("bucket %s: %w", *name, err)
	}
	return made, nil
}

// PutTemplate puts a template into the artefact bucket, under its own digest, and returns its address.
func (c *Cloud) PutTemplate(ctx context.Context, stack string, text []byte) (string, error) {
	sum := sha256.Sum256(text)
	key := "templates/" + stack + "/" + hex.EncodeToString(sum[:]) + ".yaml"
	_, err := c.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(c.Bucket()), Key: &key, Body: bytes.NewReader(text)})
	if hasCode(err, "NoSuchBucket") {
		return "", fmt.Errorf("%s: its template is too large to travel with the request, and there is no bucket for it: run mpac deploy bootstrap", stack)
	}
	if err != nil {
		return "", fmt.Errorf("%s: its template: %w", stack, err)
	}
	return fmt.Sprintf("https://%s.s3.%s.amazonaws.com/%s", c.Bucket(), c.Region, key), nil
}

// PutRecord writes a small document into the artefact bucket; its versions are kept.
func (c *Cloud) PutRecord(ctx context.Context, key string, record any) error {
	text, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("record %s: %w", key, err)
	}
	_, err = c.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(c.Bucket()), Key: &key, Body: bytes.NewReader(text), ContentType: aws.String("application/json")})
	if err != nil {
		return fmt.Errorf("record %s: %w", key, err)
	}
	return nil
}

// Record reads a document that PutRecord wrote; false when there is none.
func (c *Cloud) Record(ctx context.Context, key string, into any) (bool, error) {
	out, err := c.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(c.Bucket()), Key: &key})
	if hasCode(err, "NoSuchKey") {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("record %s: %w", key, err)
	}
	defer func() { _ = out.Body.Close() }()
	if err := json.NewDecoder(out.Body).Decode(into); err != nil {
		return false, fmt.Errorf("record %s: %w", key, err)
	}
	return true, nil
}

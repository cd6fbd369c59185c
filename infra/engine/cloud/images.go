package cloud

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

// Image is the address, by digest, of the image that a tag names in a repository of this account.
func (c *Cloud) Image(ctx context.Context, repository, tag string) (string, error) {
	digest := tag
	if !strings.HasPrefix(tag, "sha256:") {
		out, err := c.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{
			RepositoryName: &repository, ImageIds: []types.ImageIdentifier{{ImageTag: &tag}},
		})
		if hasCode(err, "RepositoryNotFoundException") {
			return "", fmt.Errorf("there is no repository %s: run mpac deploy bootstrap", repository)
		}
		if hasCode(err, "ImageNotFoundException") || err == nil && len(out.ImageDetails) == 0 {
			return "", fmt.Errorf("%s has no image %s: it must be pushed first", repository, tag)
		}
		if err != nil {
			return "", fmt.Errorf("image %s:%s: %w", repository, tag, err)
		}
		digest = aws.ToString(out.ImageDetails[0].ImageDigest)
	}
	return fmt.Sprintf("%s.dkr.ecr.%s.amazonaws.com/%s@%s", c.Account, c.Region, repository, digest), nil
}

// MakeRepository makes a repository unless it is there; made tells which.
func (c *Cloud) MakeRepository(ctx context.Context, name string, tags map[string]string) (made bool, err error) {
	in := &ecr.CreateRepositoryInput{
		RepositoryName: &name, ImageTagMutability: types.ImageTagMutabilityImmutable,
		ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: true},
		EncryptionConfiguration:    &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeKms},
	}
	for k, v := range tags {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(k), Value: aws.String(v)})
	}
	_, err = c.ecr.CreateRepository(ctx, in)
	made = err == nil
	if err != nil && !hasCode(err, "RepositoryAlreadyExistsException") {
		return false, fmt.Errorf("repository %s: %w", name, err)
	}
	// What has no tag any more is not what any stack runs: stacks name digests of tagged images.
	policy := `{"rules":[{"rulePriority":1,"description":"images that no tag names","selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":14},"action":{"type":"expire"}}]}`
	if _, err := c.ecr.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: &name, LifecyclePolicyText: &policy}); err != nil {
		return made, fmt.Errorf("repository %s: its lifecycle: %w", name, err)
	}
	return made, nil
}

package cloud

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// RoleARN is a role's address; "" when there is none.
func (c *Cloud) RoleARN(ctx context.Context, name string) (string, error) {
	out, err := c.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if hasCode(err, "NoSuchEntity", "NoSuchEntityException") {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("role %s: %w", name, err)
	}
	return aws.ToString(out.Role.Arn), nil
}

// MakeRole makes a role, unless it is there, and sets its trust and its policies to what they must be.
func (c *Cloud) MakeRole(ctx context.Context, name, description, trust string, policies, tags map[string]string) (made bool, err error) {
	in := &iam.CreateRoleInput{RoleName: &name, Description: &description, AssumeRolePolicyDocument: &trust, MaxSessionDuration: aws.Int32(7200)}
	for k, v := range tags {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(k), Value: aws.String(v)})
	}
	_, err = c.iam.CreateRole(ctx, in)
	made = err == nil
	if err != nil {
		if !hasCode(err, "EntityAlreadyExists", "EntityAlreadyExistsException") {
			return false, fmt.Errorf("role %s: %w", name, err)
		}
		if _, err := c.iam.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: &trust}); err != nil {
			return false, fmt.Errorf("role %s: its trust: %w", name, err)
		}
	}
	for policy, document := range policies {
		if _, err := c.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: &policy, PolicyDocument: &document}); err != nil {
			return made, fmt.Errorf("role %s: its policy %s: %w", name, policy, err)
		}
	}
	return made, nil
}

// MakeProvider lets the identities of an OpenID Connect issuer be known to the account; made tells whether they were not yet.
func (c *Cloud) MakeProvider(ctx context.Context, address, audience string) (made bool, err error) {
	_, err = c.iam.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: &address, ClientIDList: []string{audience}})
	if hasCode(err, "EntityAlreadyExists", "EntityAlreadyExistsException") {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("identity provider %s: %w", address, err)
	}
	return true, nil
}

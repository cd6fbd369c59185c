// Package bootstrap prepares an AWS account for one environment, by calls that may be repeated: the artefact bucket, the image
// repositories, and the two roles of a deployment. The pipeline's is taken by GitHub's identity, without any key; CloudFormation's
// makes what the templates say, and can be passed to CloudFormation only.
package bootstrap

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/mpac-cloud/mpac/infra/engine"
	"github.com/mpac-cloud/mpac/infra/engine/cloud"
	"github.com/mpac-cloud/mpac/infra/engine/manifest"
)

// PipelineRole is what the pipeline works as.
const PipelineRole = "mpac-pipeline"

// Issuer of the identities of GitHub's workflows.
const (
	issuer   = "token.actions.githubusercontent.com"
	audience = "sts.amazonaws.com"
)

var repositoryName = regexp.MustCompile(`^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$`)

// Run prepares the account. repository is the GitHub repository, owner/name, whose workflows of the environment may deploy; empty: no
// pipeline role is made. An account that belongs to another environment is refused.
func Run(ctx context.Context, c *cloud.Cloud, m *manifest.Manifest, env, repository string, tell func(format string, args ...any)) error {
	if _, known := m.Environments[env]; !known {
		return fmt.Errorf("there is no environment %q in the manifest", env)
	}
	if repository != "" && !repositoryName.MatchString(repository) {
		return fmt.Errorf("--repository is %q: want owner/name", repository)
	}
	belongs, err := c.BucketTags(ctx)
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	if other := belongs["environment"]; belongs != nil && other != "" && other != env {
		return fmt.Errorf("account %s belongs to %q already: each environment has an account of its own", c.Account, other)
	}
	for _, t := range things(c, m, env, repository) {
		made, err := t.make(ctx)
		if err != nil {
			return fmt.Errorf("%w", err)
		}
		if made {
			tell("made %s", t.what)
		} else {
			tell("%s is there", t.what)
		}
	}
	return nil
}

// thing is one that the account needs; make says whether it had to be made.
type thing struct {
	what string
	make func(context.Context) (made bool, err error)
}

// things are all of them, in the order in which they are made.
func things(c *cloud.Cloud, m *manifest.Manifest, env, repository string) []thing {
	tags := map[string]string{"system": "mpac", "environment": env}
	role := func(name, description, trust string, policies map[string]string) thing {
		return thing{"the role " + name, func(ctx context.Context) (bool, error) {
			return c.MakeRole(ctx, name, description, trust, policies, tags)
		}}
	}
	all := []thing{{"the bucket " + c.Bucket(), func(ctx context.Context) (bool, error) { return c.MakeBucket(ctx, tags) }}}
	for _, name := range m.Repositories {
		all = append(all, thing{"the repository " + name, func(ctx context.Context) (bool, error) { return c.MakeRepository(ctx, name, tags) }})
	}
	all = append(all, role(engine.CloudFormationRole, "What CloudFormation makes the MPAC stacks as", formationTrust(c), map[string]string{"make-stacks": formationPolicy(c)}))
	if repository == "" {
		return all
	}
	return append(all,
		thing{"the identity provider " + issuer, func(ctx context.Context) (bool, error) { return c.MakeProvider(ctx, "https://"+issuer, audience) }},
		role(PipelineRole, "What the pipeline of "+repository+" deploys as", pipelineTrust(c, repository, env), map[string]string{"deploy": pipelinePolicy(c)}))
}

type statement struct {
	Sid       string         `json:"Sid"`
	Effect    string         `json:"Effect"`
	Principal any            `json:"Principal,omitempty"`
	Action    []string       `json:"Action"`
	Resource  []string       `json:"Resource,omitempty"`
	Condition map[string]any `json:"Condition,omitempty"`
}

func policy(statements ...statement) string {
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		panic(err) // plain values always marshal
	}
	return string(text)
}

func formationTrust(c *cloud.Cloud) string {
	return policy(statement{
		Sid: "CloudFormation", Effect: "Allow", Principal: map[string]string{"Service": "cloudformation.amazonaws.com"}, Action: []string{"sts:AssumeRole"},
		Condition: map[string]any{"StringEquals": map[string]string{"aws:SourceAccount": c.Account}},
	})
}

// pipelineTrust lets in only the workflows of one repository, and of those only jobs of the environment, which GitHub guards.
func pipelineTrust(c *cloud.Cloud, repository, env string) string {
	return policy(statement{
		Sid: "GitHub", Effect: "Allow", Principal: map[string]string{"Federated": "arn:aws:iam::" + c.Account + ":oidc-provider/" + issuer},
		Action: []string{"sts:AssumeRoleWithWebIdentity"},
		Condition: map[string]any{"StringEquals": map[string]string{
			issuer + ":aud": audience, issuer + ":sub": "repo:" + repository + ":environment:" + env,
		}},
	})
}

// formationPolicy is what the templates need: whole services, because each resource type needs many of their actions and AWS adds to
// them; roles and policies only of names that our stacks give, and never the two of bootstrap itself.
func formationPolicy(c *cloud.Cloud) string {
	services := []string{
		"acm", "application-autoscaling", "autoscaling", "cloudwatch", "ec2", "ecs", "elasticache", "elasticloadbalancing", "events", "kms",
		"logs", "rds", "route53", "s3", "scheduler", "secretsmanager", "servicediscovery", "sns", "sqs", "ssm", "wafv2",
	}
	actions := make([]string, len(services))
	for i, s := range services {
		actions[i] = s + ":*"
	}
	account := "arn:aws:iam::" + c.Account
	return policy(
		statement{
			Sid: "Services", Effect: "Allow", Action: actions, Resource: []string{"*"}, // the regions' end points are one condition
			Condition: map[string]any{"StringEquals": map[string]any{"aws:RequestedRegion": []string{c.Region, "us-east-1"}}},
		},
		statement{
			Sid: "RolesOfTheStacks", Effect: "Allow", Resource: []string{account + ":role/mpac-*", account + ":instance-profile/mpac-*", account + ":policy/mpac-*"},
			Action: []string{
				"iam:AddRoleToInstanceProfile", "iam:AttachRolePolicy", "iam:CreateInstanceProfile", "iam:CreatePolicy", "iam:CreatePolicyVersion", "iam:CreateRole",
				"iam:DeleteInstanceProfile", "iam:DeletePolicy", "iam:DeletePolicyVersion", "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy",
				"iam:GetInstanceProfile", "iam:GetPolicy", "iam:GetPolicyVersion", "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies",
				"iam:ListPolicyVersions", "iam:ListRolePolicies", "iam:PassRole", "iam:PutRolePolicy", "iam:RemoveRoleFromInstanceProfile", "iam:TagRole",
				"iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "iam:TagInstanceProfile", "iam:TagPolicy",
			},
		},
		statement{
			Sid: "RolesOfServices", Effect: "Allow", Action: []string{"iam:CreateServiceLinkedRole"}, Resource: []string{account + ":role/aws-service-role/*"},
		},
		statement{
			Sid: "NotItself", Effect: "Deny", Action: []string{"iam:AttachRolePolicy", "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy", "iam:PassRole", "iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy"},
			Resource: []string{account + ":role/" + engine.CloudFormationRole, account + ":role/" + PipelineRole},
		},
	)
}

// pipelinePolicy is what mpac deploy itself calls, on what is ours.
func pipelinePolicy(c *cloud.Cloud) string {
	in := func(service, rest string) string {
		return "arn:aws:" + service + ":" + c.Region + ":" + c.Account + ":" + rest
	}
	bucket := "arn:aws:s3:::" + c.Bucket()
	return policy(
		statement{Sid: "Stacks", Effect: "Allow", Resource: []string{in("cloudformation", "stack/mpac-*"), in("cloudformation", "changeSet/mpac-*")}, Action: []string{
			"cloudformation:CreateChangeSet", "cloudformation:DeleteChangeSet", "cloudformation:DeleteStack", "cloudformation:DescribeChangeSet",
			"cloudformation:DescribeStackEvents", "cloudformation:DescribeStackResourceDrifts", "cloudformation:DescribeStacks", "cloudformation:DetectStackDrift",
			"cloudformation:DetectStackResourceDrift", "cloudformation:ExecuteChangeSet", "cloudformation:GetTemplate", "cloudformation:UpdateTerminationProtection",
		}},
		// These two name no stack.
		statement{Sid: "DriftStatus", Effect: "Allow", Resource: []string{"*"}, Action: []string{"cloudformation:DescribeStackDriftDetectionStatus", "cloudwatch:GetMetricData", "ecr:GetAuthorizationToken"}},
		statement{
			Sid: "WorkAsCloudFormation", Effect: "Allow", Action: []string{"iam:PassRole", "iam:GetRole"}, Resource: []string{"arn:aws:iam::" + c.Account + ":role/" + engine.CloudFormationRole},
		},
		statement{Sid: "Artefacts", Effect: "Allow", Resource: []string{bucket, bucket + "/*"}, Action: []string{"s3:GetBucketTagging", "s3:GetObject", "s3:ListBucket", "s3:PutObject"}},
		statement{Sid: "Images", Effect: "Allow", Resource: []string{in("ecr", "repository/mpac/*")}, Action: []string{
			"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer",
			"ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
		}},
		statement{Sid: "Tasks", Effect: "Allow", Action: []string{"ecs:RunTask"}, Resource: []string{in("ecs", "task-definition/*mpac-*")}},
		statement{Sid: "Running", Effect: "Allow", Action: []string{"ecs:DescribeServices", "ecs:DescribeTasks", "ecs:UpdateService"}, Resource: []string{in("ecs", "service/mpac-*"), in("ecs", "task/mpac-*")}},
		statement{Sid: "TaskRoles", Effect: "Allow", Action: []string{"iam:PassRole"}, Resource: []string{"arn:aws:iam::" + c.Account + ":role/mpac-*"}, Condition: map[string]any{
			"StringEquals": map[string]string{"iam:PassedToService": "ecs-tasks.amazonaws.com"}, //nolint:gosec // a service's name
		}},
		statement{Sid: "WhatTasksSaid", Effect: "Allow", Action: []string{"logs:GetLogEvents"}, Resource: []string{in("logs", "log-group:/mpac-*")}},
		statement{Sid: "Secrets", Effect: "Allow", Resource: []string{in("secretsmanager", "secret:mpac-*")}, Action: []string{
			"secretsmanager:CreateSecret", "secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue", "secretsmanager:TagResource",
		}},
	)
}

// Summary is what to do next.
func Summary(env string) string {
	return strings.Join([]string{"Next: push the images, then", "  mpac deploy secrets --env " + env, "  mpac deploy --env " + env + " --version vYYYY.M.N"}, "\n")
}

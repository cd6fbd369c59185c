package policy

import (
	"regexp"
	"slices"
	"strings"

	"github.com/mpac-cloud/mpac/infra/template"
)

var (
	// secretName are names of properties, variables and parameters that hold something secret.
	secretName = regexp.MustCompile(`(?i)(password|secret|token|credential|privatekey|private_key|api_?key|authorization|headers)`)
	// secretText is text that is secret by its look.
	secretText = regexp.MustCompile(`(AKIA[0-9A-Z]{16}|-----BEGIN|\b[sp]k_(test|live)_|Bearer |://[^/@\s$]*:[^/@\s{$]+@)`)
)

// harmless are properties of such names that hold no secret themselves.
var harmless = []string{
	"ManageMasterUserPassword", "MasterUserSecret", "SecretsManagerEndpoint", "GenerateSecretString", "HttpTokens", "PasswordLength", "WildcardReasons",
	"ForwardedValues", "ExcludePunctuation", "Secrets",
}

// checkSecrets: no secret in clear: not in a property, a variable, a default, an output.
func checkSecrets(c *checker, s *template.Stack) {
	for name, p := range s.Template.Parameters {
		if secretName.MatchString(name) && !strings.HasSuffix(name, "Arn") && !slices.Contains(openVariables, name) {
			c.say(name, "a secret comes as a parameter: pass its ARN")
		}
		if p.NoEcho {
			c.say(name, "a parameter that must be hidden is a secret: pass its ARN")
		}
		if p.Default != nil && secretText.MatchString(*p.Default) {
			c.say(name, "its default is a secret")
		}
	}
	for _, r := range s.Each() {
		c.clear(r.Name, "", r.Properties)
		if r.Type == "AWS::ECS::TaskDefinition" {
			c.variables(r)
		}
	}
	for name, v := range s.Outputs {
		if text := template.Text(v); secretText.MatchString(text) || strings.Contains(text, "{{resolve:") {
			c.say(name, "the output shows a secret")
		}
	}
}

func (c *checker) clear(resource, key string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			if !slices.Contains(harmless, k) {
				c.clear(resource, k, inner)
			}
		}
	case []any:
		for _, inner := range v {
			c.clear(resource, key, inner)
		}
	case string:
		if secretText.MatchString(v) {
			c.say(resource, "%s holds a secret in clear", key)
		}
		// A word such as "RedisAuthToken" that is part of a policy's prose is none; a value under a secret's name is.
		if slices.Contains([]string{"MasterUserPassword", "AuthToken", "SecretString", "Password", "OAuthToken"}, key) && !strings.Contains(v, "{{resolve:secretsmanager:") {
			c.say(resource, "%s is written in the template", key)
		}
	}
}

// variables: a container's secrets come from Secrets Manager.
func (c *checker) variables(task *template.Resource) {
	for _, container := range task.List("ContainerDefinitions") {
		name := template.Text(template.At(container, "Name"))
		for _, e := range template.List(template.At(container, "Environment")) {
			variable, value := template.Text(template.At(e, "Name")), template.Text(template.At(e, "Value"))
			if secretName.MatchString(variable) && !slices.Contains(openVariables, variable) {
				c.say(task.Name, "%s: %s is in the clear", name, variable)
			}
			if variable == "DATABASE_URL" && (!strings.Contains(value, "sslmode=verify-full") || strings.Contains(strings.SplitN(value, "@", 2)[0], ":") && strings.Count(strings.SplitN(value, "@", 2)[0], ":") > 1) {
				c.say(task.Name, "%s: DATABASE_URL has a password, or does not verify the server", name)
			}
		}
		for _, e := range template.List(template.At(container, "Secrets")) {
			from := template.Text(template.At(e, "ValueFrom"))
			if !strings.HasPrefix(from, "${") && !strings.HasPrefix(from, "arn:aws:secretsmanager:") {
				c.say(task.Name, "%s: %s does not come from Secrets Manager", name, template.Text(template.At(e, "Name")))
			}
		}
	}
}

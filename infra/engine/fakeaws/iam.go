package fakeaws

import (
	"net/http"
	"net/url"
)

type role struct {
	trust    string
	policies map[string]string
}

// Role is a role's trust and policies; "" and nil when there is none.
func (f *Fake) Role(name string) (trust string, policies map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.roles[name]; r != nil {
		return r.trust, r.policies
	}
	return "", nil
}

func (f *Fake) roleARN(name string) string { return "arn:aws:iam::" + f.Account + ":role/" + name }

func (f *Fake) queryIAM(action string, form url.Values) ([]node, error) {
	name := form.Get("RoleName")
	missing := &refusal{http.StatusNotFound, "NoSuchEntity", "The role with name " + name + " cannot be found."}
	switch action {
	case "GetRole":
		if f.roles[name] == nil {
			return nil, missing
		}
		return []node{f.describeRole(name)}, nil
	case "CreateRole":
		if f.roles[name] != nil {
			return nil, &refusal{http.StatusConflict, "EntityAlreadyExists", "Role with name " + name + " already exists."}
		}
		f.roles[name] = &role{trust: form.Get("AssumeRolePolicyDocument"), policies: map[string]string{}}
		f.journal("role %s", name)
		return []node{f.describeRole(name)}, nil
	case "UpdateAssumeRolePolicy":
		if f.roles[name] == nil {
			return nil, missing
		}
		f.roles[name].trust = form.Get("PolicyDocument")
		return nil, nil
	case "PutRolePolicy":
		if f.roles[name] == nil {
			return nil, missing
		}
		f.roles[name].policies[form.Get("PolicyName")] = form.Get("PolicyDocument")
		return nil, nil
	case "CreateOpenIDConnectProvider":
		arn := "arn:aws:iam::" + f.Account + ":oidc-provider/token.actions.githubusercontent.com"
		if f.providers[arn] != "" {
			return nil, &refusal{http.StatusConflict, "EntityAlreadyExists", "Provider with url " + form.Get("Url") + " already exists."}
		}
		f.providers[arn] = form.Get("Url")
		f.journal("provider %s", form.Get("Url"))
		return []node{leaf("OpenIDConnectProviderArn", arn)}, nil
	}
	return nil, refuse("InvalidAction", "fakeaws does not play iam:%s", action)
}

func (f *Fake) describeRole(name string) node {
	return branch("Role", leaf("RoleName", name), leaf("Arn", f.roleARN(name)), leaf("Path", "/"), leaf("RoleId", "AROAFAKE"), leaf("CreateDate", stamp(f.now())))
}

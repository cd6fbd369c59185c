package fakeaws

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// The JSON protocol: ECS, ECR, Secrets Manager, CloudWatch Logs.

func (f *Fake) serveJSON(w http.ResponseWriter, r *http.Request, service string) {
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	in := map[string]any{}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var out any
	var err error
	switch service {
	case "ecs":
		out, err = f.ecs(action, in)
	case "ecr":
		out, err = f.ecr(action, in)
	case "secretsmanager":
		out, err = f.secretsManager(action, in)
	default:
		out, err = f.logs(action, in)
	}
	if reason := f.denied[service+":"+action]; reason != "" {
		err = &refusal{http.StatusBadRequest, "AccessDeniedException", reason}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if err != nil {
		no := refusalOf(err)
		w.Header().Set("X-Amzn-Errortype", no.code)
		w.WriteHeader(no.status)
		out = map[string]string{"__type": no.code, "message": no.message}
	}
	_ = json.NewEncoder(w).Encode(out) // the client has gone, if anything
}

// Push puts an image into a repository under a tag, and returns its digest.
func (f *Fake) Push(repository, tag string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.images[repository] == nil {
		f.images[repository] = map[string]string{}
	}
	sum := sha256.Sum256([]byte(repository + ":" + tag))
	f.images[repository][tag] = "sha256:" + hex.EncodeToString(sum[:])
	return f.images[repository][tag]
}

func (f *Fake) ecr(action string, in map[string]any) (any, error) {
	name := fmt.Sprint(in["repositoryName"])
	repository, there := f.images[name]
	if action == "CreateRepository" {
		if there {
			return nil, refuse("RepositoryAlreadyExistsException", "The repository with name '%s' already exists", name)
		}
		f.images[name] = map[string]string{}
		f.journal("repository %s", name)
		return map[string]any{"repository": map[string]any{"repositoryName": name}}, nil
	}
	if !there {
		return nil, refuse("RepositoryNotFoundException", "The repository with name '%s' does not exist", name)
	}
	switch action {
	case "PutLifecyclePolicy":
		return map[string]any{"repositoryName": name}, nil
	case "DescribeImages":
		var out []any
		for _, id := range list(in["imageIds"]) {
			tag := fmt.Sprint(object(id)["imageTag"])
			digest, pushed := repository[tag]
			if !pushed {
				return nil, refuse("ImageNotFoundException", "The image with imageId {imageTag:'%s'} does not exist", tag)
			}
			out = append(out, map[string]any{"repositoryName": name, "imageDigest": digest, "imageTags": []any{tag}})
		}
		return map[string]any{"imageDetails": out}, nil
	}
	return nil, refuse("InvalidAction", "fakeaws does not play ecr:%s", action)
}

type secret struct{ arn, name, value string }

// Secret is an entry's text; "" when there is none.
func (f *Fake) Secret(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.secrets[name]; s != nil {
		return s.value
	}
	return ""
}

func (f *Fake) secretsManager(action string, in map[string]any) (any, error) {
	if action == "CreateSecret" {
		name := fmt.Sprint(in["Name"])
		if f.secrets[name] != nil {
			return nil, refuse("ResourceExistsException", "The operation failed because the secret %s already exists.", name)
		}
		s := &secret{name: name, value: fmt.Sprint(in["SecretString"])}
		s.arn = fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-%06d", f.Region, f.Account, name, f.next())
		f.secrets[name] = s
		f.journal("secret %s", name)
		return map[string]any{"ARN": s.arn, "Name": name}, nil
	}
	id := fmt.Sprint(in["SecretId"])
	var s *secret
	for _, one := range f.secrets {
		if one.name == id || one.arn == id {
			s = one
		}
	}
	if s == nil {
		return nil, refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	}
	switch action {
	case "DescribeSecret":
		return map[string]any{"ARN": s.arn, "Name": s.name}, nil
	case "GetSecretValue":
		return map[string]any{"ARN": s.arn, "Name": s.name, "SecretString": s.value}, nil
	case "PutSecretValue":
		s.value = fmt.Sprint(in["SecretString"])
		f.journal("secret %s", s.name)
		return map[string]any{"ARN": s.arn, "Name": s.name}, nil
	}
	return nil, refuse("InvalidAction", "fakeaws does not play secretsmanager:%s", action)
}

func (f *Fake) logs(action string, in map[string]any) (any, error) {
	if action != "GetLogEvents" {
		return nil, refuse("InvalidAction", "fakeaws does not play logs:%s", action)
	}
	lines, there := f.lines[fmt.Sprint(in["logGroupName"])+":"+fmt.Sprint(in["logStreamName"])]
	if !there {
		return nil, refuse("ResourceNotFoundException", "The specified log stream does not exist.")
	}
	events := []any{}
	for _, line := range lines {
		events = append(events, map[string]any{"message": line, "timestamp": f.now().UnixMilli()})
	}
	return map[string]any{"events": events}, nil
}

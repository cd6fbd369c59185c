package fakeaws

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// The query protocol: a form comes in, XML goes out.

// node is an element: a name and text, or children.
type node struct {
	name     string
	value    string
	children []node
}

func leaf(name string, value any) node { return node{name: name, value: fmt.Sprint(value)} }

func branch(name string, children ...node) node { return node{name: name, children: children} }

func (n node) write(b *strings.Builder) {
	b.WriteString("<" + n.name + ">")
	if len(n.children) == 0 {
		_ = xml.EscapeText(b, []byte(n.value)) // a builder never fails
	}
	for _, c := range n.children {
		c.write(b)
	}
	b.WriteString("</" + n.name + ">")
}

// refusal is an error that AWS answers with.
type refusal struct {
	status        int
	code, message string
}

func (r *refusal) Error() string { return r.code + ": " + r.message }

func refuse(code, format string, args ...any) error {
	return &refusal{http.StatusBadRequest, code, fmt.Sprintf(format, args...)}
}

// refusalOf turns any error into what AWS answers.
func refusalOf(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	return &refusal{http.StatusBadRequest, "ValidationError", err.Error()}
}

func (f *Fake) serveQuery(w http.ResponseWriter, r *http.Request, service string) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	action := r.PostForm.Get("Action")
	result, err := f.query(service, action, r.PostForm)
	if reason := f.denied[service+":"+action]; reason != "" {
		err = &refusal{http.StatusForbidden, "AccessDenied", reason}
	}
	var b strings.Builder
	b.WriteString(xml.Header)
	if err != nil {
		no := refusalOf(err)
		branch("ErrorResponse", branch("Error", leaf("Type", "Sender"), leaf("Code", no.code), leaf("Message", no.message)), leaf("RequestId", "fake")).write(&b)
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(no.status)
		_, _ = w.Write([]byte(b.String()))
		return
	}
	branch(action+"Response", branch(action+"Result", result...), branch("ResponseMetadata", leaf("RequestId", "fake"))).write(&b)
	w.Header().Set("Content-Type", "text/xml")
	_, _ = w.Write([]byte(b.String()))
}

func (f *Fake) query(service, action string, form url.Values) ([]node, error) {
	switch service {
	case "sts":
		if action == "GetCallerIdentity" {
			return []node{leaf("Account", f.Account), leaf("Arn", "arn:aws:sts::"+f.Account+":assumed-role/operator/tester"), leaf("UserId", "AROAFAKE:tester")}, nil
		}
	case "iam":
		return f.queryIAM(action, form)
	default:
		return f.queryStacks(action, form)
	}
	return nil, refuse("InvalidAction", "fakeaws does not play %s:%s", service, action)
}

// pairs reads Name.member.N.key and .value of a form.
func pairs(form url.Values, name, key, value string) map[string]string {
	out := map[string]string{}
	for i := 1; ; i++ {
		prefix := fmt.Sprintf("%s.member.%d.", name, i)
		if !form.Has(prefix + key) {
			return out
		}
		out[form.Get(prefix+key)] = form.Get(prefix + value)
	}
}

// members reads Name.member.N of a form.
func members(form url.Values, name string) []string {
	var out []string
	for i := 1; form.Has(fmt.Sprintf("%s.member.%d", name, i)); i++ {
		out = append(out, form.Get(fmt.Sprintf("%s.member.%d", name, i)))
	}
	return out
}

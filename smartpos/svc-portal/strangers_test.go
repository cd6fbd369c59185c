package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/smartpos/internal/access"
)

// ask makes a request on a shop's things that is right in all but who makes it.
type ask func(p *portal, s *shop) (path string, body any)

func at(path string, id func(*shop) string) ask {
	return func(_ *portal, s *shop) (string, any) { return strings.Replace(path, "{id}", id(s), 1), nil }
}

// version is what a PATCH of the thing at path has to say now.
func (p *portal) version(path, token string) int {
	v, _ := p.get(path, token).want(p.t, http.StatusOK, "").body["version"].(float64)
	return int(v)
}

func change(path string, id func(*shop) string, body m) ask {
	return func(p *portal, s *shop) (string, any) {
		path := strings.Replace(path, "{id}", id(s), 1)
		full := m{"version": p.version(path, s.adminT)}
		for k, v := range body {
			full[k] = v
		}
		return path, full
	}
}

// asks has a right request for every route that needs a token. A route that is not in it fails the test.
var asks = map[string]ask{
	"GET /api/v1/psps":       func(*portal, *shop) (string, any) { return "/api/v1/psps", nil },
	"POST /api/v1/psps":      func(*portal, *shop) (string, any) { return "/api/v1/psps", m{"code": code(), "name": "P"} },
	"GET /api/v1/psps/:id":   at("/api/v1/psps/{id}", func(s *shop) string { return s.psp }),
	"PATCH /api/v1/psps/:id": change("/api/v1/psps/{id}", func(s *shop) string { return s.psp }, m{"name": "Changed"}),
	"GET /api/v1/merchants":  func(*portal, *shop) (string, any) { return "/api/v1/merchants", nil },
	"POST /api/v1/merchants": func(_ *portal, s *shop) (string, any) {
		return "/api/v1/merchants", m{"psp_id": s.psp, "code": code(), "name": "M"}
	},
	"GET /api/v1/merchants/:id":   at("/api/v1/merchants/{id}", func(s *shop) string { return s.merchant }),
	"PATCH /api/v1/merchants/:id": change("/api/v1/merchants/{id}", func(s *shop) string { return s.merchant }, m{"name": "Changed"}),
	"GET /api/v1/stores":          func(*portal, *shop) (string, any) { return "/api/v1/stores", nil },
	"POST /api/v1/stores": func(_ *portal, s *shop) (string, any) {
		return "/api/v1/stores", m{"merchant_id": s.merchant, "code": code(), "name": "S"}
	},
	"GET /api/v1/stores/:id":                               at("/api/v1/stores/{id}", func(s *shop) string { return s.store }),
	"PATCH /api/v1/stores/:id":                             change("/api/v1/stores/{id}", func(s *shop) string { return s.store }, m{"name": "Changed"}),
	"GET /api/v1/stores/:id/provider_configs":              at("/api/v1/stores/{id}/provider_configs", func(s *shop) string { return s.store }),
	"PUT /api/v1/stores/:id/provider_configs/:provider":    contract("/api/v1/stores/{id}", func(s *shop) string { return s.store }),
	"GET /api/v1/stores/:id/provider_configs/:provider":    at("/api/v1/stores/{id}/provider_configs/paypay", func(s *shop) string { return s.store }),
	"GET /api/v1/merchants/:id/provider_configs":           at("/api/v1/merchants/{id}/provider_configs", func(s *shop) string { return s.merchant }),
	"PUT /api/v1/merchants/:id/provider_configs/:provider": contract("/api/v1/merchants/{id}", func(s *shop) string { return s.merchant }),
	"GET /api/v1/merchants/:id/provider_configs/:provider": at("/api/v1/merchants/{id}/provider_configs/paypay", func(s *shop) string { return s.merchant }),
	"GET /api/v1/terminals":                                func(*portal, *shop) (string, any) { return "/api/v1/terminals", nil },
	"POST /api/v1/terminals": func(_ *portal, s *shop) (string, any) {
		return "/api/v1/terminals", m{"store_id": s.store, "serial_number": code(), "model": "P2", "name": "T"}
	},
	"GET /api/v1/terminals/:id":               at("/api/v1/terminals/{id}", func(s *shop) string { return s.till.id }),
	"PATCH /api/v1/terminals/:id":             change("/api/v1/terminals/{id}", func(s *shop) string { return s.till.id }, m{"name": "Changed"}),
	"POST /api/v1/terminals/:id/suspend":      verbOn("suspend", ""),
	"POST /api/v1/terminals/:id/resume":       verbOn("resume", "suspend"),
	"POST /api/v1/terminals/:id/report_lost":  verbOn("report_lost", ""),
	"POST /api/v1/terminals/:id/decommission": verbOn("decommission", ""),
	"POST /api/v1/device/provision/generateActivationCode": func(p *portal, s *shop) (string, any) {
		return "/api/v1/device/provision/generateActivationCode", m{"terminal_id": p.register(s.adminT, s.store)}
	},
	"GET /api/v1/users": func(*portal, *shop) (string, any) { return "/api/v1/users", nil },
	"POST /api/v1/users": func(_ *portal, s *shop) (string, any) {
		return "/api/v1/users", m{"email": code() + "@example.com", "name": "N", "password": password, "role": "STAFF", "store_id": s.store}
	},
	"GET /api/v1/users/:id":             at("/api/v1/users/{id}", func(s *shop) string { return s.staff.id }),
	"PATCH /api/v1/users/:id":           change("/api/v1/users/{id}", func(s *shop) string { return s.staff.id }, m{"name": "Changed"}),
	"POST /api/v1/users/:id/mfa/reset":  at("/api/v1/users/{id}/mfa/reset", func(s *shop) string { return s.staff.id }),
	"GET /api/v1/users/:id/sessions":    at("/api/v1/users/{id}/sessions", func(s *shop) string { return s.staff.id }),
	"DELETE /api/v1/users/:id/sessions": at("/api/v1/users/{id}/sessions", func(s *shop) string { return s.staff.id }),
	"GET /api/v1/auth/user/me":          func(*portal, *shop) (string, any) { return "/api/v1/auth/user/me", nil },
	"GET /api/v1/auth/user/sessions":    func(*portal, *shop) (string, any) { return "/api/v1/auth/user/sessions", nil },
	"DELETE /api/v1/auth/user/sessions/:id": func(p *portal, s *shop) (string, any) {
		p.signIn(s.admin)
		for _, each := range p.get("/api/v1/auth/user/sessions", s.adminT).body["data"].([]any) {
			if session := each.(m); session["current"] != true {
				return "/api/v1/auth/user/sessions/" + session["id"].(string), nil
			}
		}
		p.t.Fatal("no session to end")
		return "", nil
	},
	"POST /api/v1/auth/user/password": func(*portal, *shop) (string, any) {
		return "/api/v1/auth/user/password", m{"current_password": password, "new_password": password}
	},
	"GET /api/v1/sync": func(*portal, *shop) (string, any) { return "/api/v1/sync", nil },
	"POST /api/v1/sync/:id/retry": func(p *portal, s *shop) (string, any) {
		first := p.get("/api/v1/sync?merchant_id="+s.merchant, s.adminT).body["data"].([]any)[0].(m)
		return "/api/v1/sync/" + jsonNumber(first["id"]) + "/retry", nil
	},
	"GET /api/v1/audit": func(*portal, *shop) (string, any) { return "/api/v1/audit", nil },
}

func jsonNumber(v any) string {
	n, _ := v.(float64)
	return uint64Text(uint64(n))
}

func code() string { return strings.ToLower("c" + uuid.NewString()[:13]) }

func contract(owner string, id func(*shop) string) ask {
	return func(_ *portal, s *shop) (string, any) {
		return strings.Replace(owner, "{id}", id(s), 1) + "/provider_configs/paypay",
			m{"contract_id": "1234567890", "credentials": m{"api_key": "k", "api_secret": "very-secret"}}
	}
}

// verbOn does the verb on a terminal of its own.
func verbOn(verb, before string) ask {
	return func(p *portal, s *shop) (string, any) {
		path := "/api/v1/terminals/" + p.terminal(s.adminT, s.store).id
		if before != "" {
			p.post(path+"/"+before, s.adminT, m{"version": p.version(path, s.adminT)}).want(p.t, http.StatusOK, "")
		}
		return path + "/" + verb, m{"version": p.version(path, s.adminT)}
	}
}

// Every route that the router knows, asked by everybody who must not, and by somebody who may.
func TestStrangers(t *testing.T) {
	t.Parallel()
	p := start(t)
	operator := p.token(p.operator())
	ours, theirs := p.shop(operator, "ours"), p.shop(operator, "theirs")
	for _, path := range []string{"/api/v1/stores/" + ours.store, "/api/v1/merchants/" + ours.merchant} {
		p.call(http.MethodPut, path+"/provider_configs/paypay", ours.adminT,
			m{"contract_id": "1", "credentials": m{"api_key": "k", "api_secret": "very-secret"}}).want(t, http.StatusOK, "")
	}
	device := p.deviceToken(p.assertion(ours.till)).text("access_token")
	refresh := ours.adminTokens.text("refresh_token")
	challenge := p.post("/api/v1/auth/user/login", "", m{"email": ours.admin.email, "password": password}).text("mfa_token")
	if challenge == "" {
		t.Fatal("no sign-in was left half done")
	}
	rules := p.rules()

	for _, route := range p.app.server.Routes() {
		name := route.Method + " " + route.Path
		if len(route.Security) == 0 {
			continue
		}
		ask, known := asks[name]
		if !known {
			t.Errorf("%s: nobody has said how to ask it", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			path, body := ask(p, ours)
			try := func(token string) reply { return p.call(route.Method, path, token, body) }

			none := try("").want(t, http.StatusUnauthorized, "unauthorized")
			if none.header.Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
			for what, token := range map[string]string{"garbage": "garbage", "a refresh token": refresh, "a signed stranger": p.forged(), "half a sign-in": challenge} {
				if r := try(token); r.status != http.StatusUnauthorized {
					t.Errorf("%s as access token: %s", what, r)
				}
			}
			if r := try(device); r.status != http.StatusForbidden || r.text("code") != "wrong_token_kind" {
				t.Errorf("a device's token: %s", r)
			}
			for _, role := range roles {
				for _, permission := range rules[name] {
					if !role.Has(permission) {
						try(ours.tokenOf(role)).want(t, http.StatusForbidden, "forbidden")
					}
				}
			}
			p.mustNotReach(t, "another tenant", route.Method, path, body, theirs.adminT, ours)
			p.mustNotReach(t, "another store's manager", route.Method, path, body, ours.secondManagerT, ours)

			right := ours.adminT
			if name == "POST /api/v1/psps" {
				right = operator
			}
			if r := try(right); r.status >= 300 {
				t.Errorf("the right one is refused: %s", r)
			}
			p.welcome(t, route.Method, name, ask, ours, rules[name])
		})
	}
}

// roles are those of a shop's people, lowest first.
var roles = []access.Role{access.Staff, access.StoreManager, access.MerchantAdmin, access.PSPAdmin}

func (s *shop) tokenOf(role access.Role) string {
	return map[access.Role]string{
		access.Staff: s.staffT, access.StoreManager: s.managerT, access.MerchantAdmin: s.ownerT, access.PSPAdmin: s.adminT,
	}[role]
}

// welcome asks as every role that may, each about things of its own.
func (p *portal) welcome(t *testing.T, method, name string, ask ask, s *shop, permissions []access.Permission) {
	t.Helper()
	if name == "DELETE /api/v1/auth/user/sessions/:id" {
		return // about the sessions of whoever asks; the scene makes the administrator's
	}
	for _, role := range roles {
		may := true
		for _, permission := range permissions {
			may = may && role.Has(permission)
		}
		if !may {
			continue
		}
		path, body := ask(p, s)
		r := p.call(method, path, s.tokenOf(role), body)
		// The merchant's own contracts are above a store: its manager reads those of the store.
		above := name == "GET /api/v1/merchants/:id/provider_configs/:provider" && role == access.StoreManager
		if above && r.status != http.StatusNotFound || !above && r.status >= 300 {
			t.Errorf("%s is refused: %s", role, r)
		}
	}
}

// mustNotReach asks as somebody whose tenant does not have the things: refused, or answered without any of them.
func (p *portal) mustNotReach(t *testing.T, who, method, path string, body any, token string, s *shop) {
	t.Helper()
	r := p.call(method, path, token, body)
	if r.status == http.StatusForbidden || r.status == http.StatusNotFound || r.status == http.StatusUnprocessableEntity {
		return
	}
	own := strings.HasPrefix(path, "/api/v1/auth/user/") // about the caller only
	if r.status >= 300 || method != http.MethodGet && !own {
		t.Errorf("%s: %s", who, r)
	}
	for _, id := range []string{s.store, s.till.id, s.staff.id, s.manager.id} {
		if strings.Contains(string(r.raw), id) && !own {
			t.Errorf("%s sees %s: %s", who, id, r)
		}
	}
}

// rules reads from the document which permissions each route asks for.
func (p *portal) rules() map[string][]access.Permission {
	rules := map[string][]access.Permission{}
	for path, item := range p.app.server.API.OpenAPI().Paths {
		for method, op := range map[string]*huma.Operation{
			"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete,
		} {
			if op == nil {
				continue
			}
			name := method + " " + strings.NewReplacer("{", ":", "}", "").Replace(path)
			rules[name], _ = op.Extensions["x-permissions"].([]access.Permission)
		}
	}
	return rules
}

// The routes without a token are these and no others.
func TestOpenRoutes(t *testing.T) {
	t.Parallel()
	p := start(t)
	open := map[string]bool{}
	for _, route := range p.app.server.Routes() {
		if len(route.Security) == 0 && strings.HasPrefix(route.Path, "/api/") {
			open[route.Method+" "+route.Path] = true
		}
	}
	for _, name := range []string{
		"POST /api/v1/auth/user/login", "POST /api/v1/auth/user/mfa/enrol", "POST /api/v1/auth/user/mfa/verify",
		"POST /api/v1/auth/user/refresh", "POST /api/v1/auth/user/logout", "POST /api/v1/auth/device/token",
		"GET /api/v1/jwks/human", "GET /api/v1/jwks/device",
		"POST /api/v1/device/provision/activate", "GET /api/v1/device/provision/activationStatus",
	} {
		if !open[name] {
			t.Errorf("%s is not open", name)
		}
		delete(open, name)
	}
	for name := range open {
		t.Errorf("%s is open to all", name)
	}
}

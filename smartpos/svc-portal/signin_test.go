package main

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFirstSignInEnrolsASecondFactor(t *testing.T) {
	t.Parallel()
	p := start(t)
	operator := p.token(p.operator())
	psp := p.make("/api/v1/psps", operator, m{"code": "acme", "name": "Acme"})
	admin := p.user(operator, m{"role": "PSP_ADMIN", "psp_id": psp})

	first := p.pass(admin)
	if first.body["mfa_required"] != true || first.body["enrolment_required"] != true || first.text("access_token") != "" {
		t.Fatalf("a PSP_ADMIN without a second factor got %s", first)
	}
	challenge := first.text("mfa_token")
	verify := func(challenge, code string) reply {
		return p.post("/api/v1/auth/user/mfa/verify", "", m{"mfa_token": challenge, "method": "totp", "code": code})
	}
	verify(challenge, "000000").want(t, http.StatusUnauthorized, "invalid_code") // nothing is enrolled yet
	enrolled := p.post("/api/v1/auth/user/mfa/enrol", "", m{"mfa_token": challenge}).want(t, http.StatusOK, "")
	if url := enrolled.text("otpauth_url"); !strings.HasPrefix(url, "otpauth://totp/MPAC:") || !strings.Contains(url, enrolled.text("secret")) {
		t.Errorf("otpauth_url %q", url)
	}
	tokens := verify(challenge, p.code(enrolled.text("secret"))).want(t, http.StatusOK, "")
	if p.get("/api/v1/auth/user/me", tokens.text("access_token")).want(t, http.StatusOK, "").text("id") != admin.id {
		t.Error("the token is somebody else's")
	}

	// Whoever has the password alone cannot replace the second factor.
	again := p.pass(admin).text("mfa_token")
	p.post("/api/v1/auth/user/mfa/enrol", "", m{"mfa_token": again}).want(t, http.StatusConflict, "already_enrolled")
}

func TestCodeIsGoodOnce(t *testing.T) {
	t.Parallel()
	p := start(t)
	op := p.operator()
	p.token(op)
	p.clock.Advance(time.Minute)
	code := p.code(op.secret)
	challenges := []string{p.pass(op).text("mfa_token"), p.pass(op).text("mfa_token"), p.pass(op).text("mfa_token")}
	statuses := make(chan int, len(challenges))
	var wg sync.WaitGroup
	for _, challenge := range challenges {
		wg.Go(func() {
			statuses <- p.post("/api/v1/auth/user/mfa/verify", "", m{"mfa_token": challenge, "method": "totp", "code": code}).status
		})
	}
	wg.Wait()
	close(statuses)
	count := map[int]int{}
	for s := range statuses {
		count[s]++
	}
	if diff := cmp.Diff(map[int]int{http.StatusOK: 1, http.StatusUnauthorized: 2}, count); diff != "" {
		t.Errorf("one code shown three times at once (-want +got):\n%s", diff)
	}
	p.post("/api/v1/auth/user/mfa/verify", "", m{"mfa_token": p.pass(op).text("mfa_token"), "method": "totp", "code": code}).
		want(t, http.StatusUnauthorized, "invalid_code")
}

func TestChallengeEnds(t *testing.T) {
	t.Parallel()
	p := start(t)
	op := p.operator()
	verify := func(challenge string) reply {
		return p.post("/api/v1/auth/user/mfa/verify", "", m{"mfa_token": challenge, "method": "totp", "code": p.code(op.secret)})
	}
	old := p.pass(op).text("mfa_token")
	p.clock.Advance(6 * time.Minute)
	verify(old).want(t, http.StatusUnauthorized, "invalid_mfa_token")
	verify("mfa_invented").want(t, http.StatusUnauthorized, "invalid_mfa_token")
	used := p.pass(op).text("mfa_token")
	verify(used).want(t, http.StatusOK, "")
	p.clock.Advance(time.Minute)
	verify(used).want(t, http.StatusUnauthorized, "invalid_mfa_token")
}

func TestGuessingCodesLocks(t *testing.T) {
	t.Parallel()
	p := start(t)
	op := p.operator()
	challenge := p.pass(op).text("mfa_token")
	wrong := func() reply {
		return p.post("/api/v1/auth/user/mfa/verify", "", m{"mfa_token": challenge, "method": "totp", "code": "000000"})
	}
	for range 5 {
		wrong().want(t, http.StatusUnauthorized, "invalid_code")
	}
	wrong().want(t, http.StatusUnauthorized, "invalid_mfa_token")
	// Neither a new challenge nor the password helps: the pair is locked.
	p.login(op.email, password).want(t, http.StatusTooManyRequests, "login_locked")
}

func (p *portal) login(email, password string) reply {
	p.t.Helper()
	return p.post("/api/v1/auth/user/login", "", m{"email": email, "password": password})
}

func TestFiveFailuresLockTheSource(t *testing.T) {
	t.Parallel()
	for _, account := range []string{"known", "unknown"} {
		t.Run(account, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			email := "nobody@example.com"
			if account == "known" {
				email = p.operator().email
			}
			for range 5 {
				p.login(email, "wrong").want(t, http.StatusUnauthorized, "invalid_credentials")
			}
			locked := p.login(strings.ToUpper(email), password).want(t, http.StatusTooManyRequests, "login_locked")
			if locked.header.Get("Retry-After") != "900" {
				t.Errorf("Retry-After %q, want 900", locked.header.Get("Retry-After"))
			}
			p.source = "192.0.2.2:1"
			if r := p.login(email, password); r.status == http.StatusTooManyRequests {
				t.Errorf("another source is locked too: %s", r)
			}
			p.source = "192.0.2.1:2"
			p.clock.Advance(15 * time.Minute)
			if r := p.login(email, password); r.status == http.StatusTooManyRequests {
				t.Errorf("still locked after a quarter of an hour: %s", r)
			}
		})
	}
}

func TestManySourcesWaitEverLonger(t *testing.T) {
	t.Parallel()
	p := start(t)
	operator := p.token(p.operator())
	psp := p.make("/api/v1/psps", operator, m{"code": "acme", "name": "Acme"})
	merchant := p.make("/api/v1/merchants", operator, m{"psp_id": psp, "code": "m", "name": "M"})
	who := p.user(operator, m{"role": "MERCHANT_ADMIN", "merchant_id": merchant})
	known := p.pass(who).header.Get("Set-Cookie")
	if !strings.Contains(known, "HttpOnly") || !strings.Contains(known, "SameSite=Strict") {
		t.Errorf("the cookie of a known browser: %q", known)
	}

	from := func(i int, password string) reply {
		p.source = "198.51.100." + string(rune('0'+i%10)) + ":1"
		return p.login(who.email, password)
	}
	for i := range 10 {
		from(i, "wrong").want(t, http.StatusUnauthorized, "invalid_credentials")
	}
	waits := []string{}
	for i := range 4 {
		p.clock.Advance(time.Hour / 10)
		from(i, "wrong").want(t, http.StatusUnauthorized, "")
		waits = append(waits, from(i+5, password).want(t, http.StatusTooManyRequests, "login_locked").header.Get("Retry-After"))
	}
	if diff := cmp.Diff([]string{"1", "2", "4", "8"}, waits); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	// A browser that the user has signed in from gets in all the same.
	request := p.request(http.MethodPost, "/api/v1/auth/user/login", "", m{"email": who.email, "password": password})
	request.Header.Set("Cookie", strings.Split(known, ";")[0])
	p.send(request).want(t, http.StatusOK, "")
	// Its mark is good for this account only.
	request = p.request(http.MethodPost, "/api/v1/auth/user/login", "", m{"email": "other@example.com", "password": "wrong"})
	request.Header.Set("Cookie", strings.Split(known, ";")[0])
	p.send(request).want(t, http.StatusUnauthorized, "invalid_credentials")
}

func TestParallelGuessesAreAllCounted(t *testing.T) {
	t.Parallel()
	p := start(t)
	op := p.operator()
	var mu sync.Mutex
	count := map[int]int{}
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			r := p.login(op.email, "wrong")
			mu.Lock()
			defer mu.Unlock()
			count[r.status]++
		})
	}
	wg.Wait()
	if diff := cmp.Diff(map[int]int{http.StatusUnauthorized: 5, http.StatusTooManyRequests: 25}, count); diff != "" {
		t.Errorf("thirty guesses at once (-want +got):\n%s", diff)
	}
}

// What an unknown account, a wrong password and an account that is closed answer is the same but for the request's id.
func TestAnswersDoNotTellAccountsApart(t *testing.T) {
	t.Parallel()
	p := start(t)
	operator := p.token(p.operator())
	s := p.shop(operator, "a")
	gone := p.user(s.ownerT, m{"role": "STAFF", "store_id": s.store})
	p.patch("/api/v1/users/"+gone.id, s.ownerT, m{"version": 1, "status": "inactive"}).want(t, http.StatusOK, "")
	closed := p.user(s.ownerT, m{"role": "STAFF", "store_id": s.second})
	p.patch("/api/v1/stores/"+s.second, s.ownerT, m{"version": 1, "status": "inactive"}).want(t, http.StatusOK, "")

	answer := func(email, password string) m {
		r := p.login(email, password).want(t, http.StatusUnauthorized, "invalid_credentials")
		delete(r.body, "request_id")
		return r.body
	}
	unknown := answer("nobody@example.com", password)
	for name, other := range map[string]m{
		"wrong password":         answer(s.staff.email, "wrong"),
		"inactive user":          answer(gone.email, password),
		"user of a closed store": answer(closed.email, password),
		"not even an address":    answer("???", "wrong"),
	} {
		if diff := cmp.Diff(unknown, other); diff != "" {
			t.Errorf("%s (-unknown +it):\n%s", name, diff)
		}
	}
}

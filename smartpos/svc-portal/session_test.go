package main

import (
	"net/http"
	"sync"
	"testing"
	"time"
)

func (p *portal) refresh(token string) reply {
	p.t.Helper()
	return p.post("/api/v1/auth/user/refresh", "", m{"refresh_token": token})
}

func TestRefreshRotatesAndReuseEndsTheSession(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	first := p.signIn(s.staff)
	second := p.refresh(first.text("refresh_token")).want(t, http.StatusOK, "")
	p.get("/api/v1/auth/user/me", second.text("access_token")).want(t, http.StatusOK, "")
	other := p.signIn(s.staff) // another session of the same user

	p.refresh(first.text("refresh_token")).want(t, http.StatusUnauthorized, "refresh_token_reused")
	p.refresh(second.text("refresh_token")).want(t, http.StatusUnauthorized, "invalid_refresh_token")
	p.refresh(first.text("refresh_token")).want(t, http.StatusUnauthorized, "invalid_refresh_token")
	p.refresh(other.text("refresh_token")).want(t, http.StatusOK, "")
	p.refresh("rt_invented").want(t, http.StatusUnauthorized, "invalid_refresh_token")
}

func TestTwoRefreshesAtOnce(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	for range 5 {
		token := p.signIn(s.staff).text("refresh_token")
		answers := make(chan reply, 2)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { answers <- p.refresh(token) })
		}
		wg.Wait()
		close(answers)
		var good []reply
		for r := range answers {
			if r.status == http.StatusOK {
				good = append(good, r)
			} else {
				r.want(t, http.StatusUnauthorized, "refresh_token_reused")
			}
		}
		if len(good) != 1 {
			t.Fatalf("%d of two refreshes at once succeeded", len(good))
		}
		// Nobody can tell which of the two was the thief: the session is over for both.
		p.refresh(good[0].text("refresh_token")).want(t, http.StatusUnauthorized, "invalid_refresh_token")
	}
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")

	t.Run("logout", func(t *testing.T) {
		tokens := p.signIn(s.staff)
		logout := func() reply {
			return p.post("/api/v1/auth/user/logout", "", m{"refresh_token": tokens.text("refresh_token")})
		}
		logout().want(t, http.StatusNoContent, "")
		logout().want(t, http.StatusNoContent, "")
		p.refresh(tokens.text("refresh_token")).want(t, http.StatusUnauthorized, "invalid_refresh_token")
	})
	t.Run("listed and ended", func(t *testing.T) {
		mine, lost := p.signIn(s.manager), p.signIn(s.manager)
		listed := p.get("/api/v1/auth/user/sessions", mine.text("access_token")).want(t, http.StatusOK, "")
		current, others := "", []string{}
		for _, each := range listed.body["data"].([]any) {
			session := each.(m)
			if session["current"] == true {
				current = session["id"].(string)
			} else {
				others = append(others, session["id"].(string))
			}
		}
		if current == "" || len(others) != 2 { // the shop's opening signed in once
			t.Fatalf("sessions: %s", listed)
		}
		for _, id := range others {
			p.call(http.MethodDelete, "/api/v1/auth/user/sessions/"+id, mine.text("access_token"), nil).want(t, http.StatusNoContent, "")
			p.call(http.MethodDelete, "/api/v1/auth/user/sessions/"+id, mine.text("access_token"), nil).want(t, http.StatusNotFound, "not_found")
		}
		p.refresh(lost.text("refresh_token")).want(t, http.StatusUnauthorized, "")
		p.refresh(mine.text("refresh_token")).want(t, http.StatusOK, "")
	})
	t.Run("by time", func(t *testing.T) {
		tokens := p.signIn(s.staff)
		p.clock.Advance(7*24*time.Hour + time.Minute)
		p.refresh(tokens.text("refresh_token")).want(t, http.StatusUnauthorized, "invalid_refresh_token")
	})
	t.Run("after thirty days in use", func(t *testing.T) {
		token := p.signIn(s.staff).text("refresh_token")
		for range 5 {
			p.clock.Advance(6 * 24 * time.Hour)
			r := p.refresh(token)
			if r.status != http.StatusOK {
				return
			}
			token = r.text("refresh_token")
		}
		p.refresh(token).want(t, http.StatusUnauthorized, "invalid_refresh_token")
	})
}

func TestChangedUsersAreSignedOut(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	change := func(version int, body m) {
		body["version"] = version
		p.patch("/api/v1/users/"+s.staff.id, s.ownerT, body).want(t, http.StatusOK, "")
	}
	tokens := p.signIn(s.staff)
	change(1, m{"name": "Another Name"})
	renamed := p.refresh(tokens.text("refresh_token")).want(t, http.StatusOK, "")
	change(2, m{"role": "STORE_MANAGER", "store_id": s.second})
	p.refresh(renamed.text("refresh_token")).want(t, http.StatusUnauthorized, "invalid_refresh_token")
	tokens = p.signIn(s.staff)
	if store := p.get("/api/v1/auth/user/me", tokens.text("access_token")).text("store_id"); store != s.second {
		t.Errorf("the new store is %q", store)
	}
	change(3, m{"status": "inactive"})
	p.refresh(tokens.text("refresh_token")).want(t, http.StatusUnauthorized, "invalid_refresh_token")
	p.login(s.staff.email, password).want(t, http.StatusUnauthorized, "invalid_credentials")
}

func TestClosedTenantsPeopleAreOut(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	tokens := p.signIn(s.staff)
	p.patch("/api/v1/merchants/"+s.merchant, s.adminT, m{"version": 1, "status": "inactive"}).want(t, http.StatusOK, "")
	p.refresh(tokens.text("refresh_token")).want(t, http.StatusUnauthorized, "invalid_refresh_token")
	p.deviceToken(p.assertion(s.till)).want(t, http.StatusForbidden, "device_not_active")
}

func TestOwnPassword(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	mine, other := p.signIn(s.staff), p.signIn(s.staff)
	change := func(present, wanted string) reply {
		return p.post("/api/v1/auth/user/password", mine.text("access_token"), m{"current_password": present, "new_password": wanted})
	}
	change("wrong", "another long password").want(t, http.StatusUnauthorized, "invalid_credentials")
	change(password, "short").want(t, http.StatusUnprocessableEntity, "validation_failed")
	change(password, s.staff.email).want(t, http.StatusUnprocessableEntity, "validation_failed")
	change(password, "another long password").want(t, http.StatusNoContent, "")
	p.refresh(other.text("refresh_token")).want(t, http.StatusUnauthorized, "")
	p.refresh(mine.text("refresh_token")).want(t, http.StatusOK, "")
	p.login(s.staff.email, password).want(t, http.StatusUnauthorized, "")
	p.login(s.staff.email, "another long password").want(t, http.StatusOK, "")
	for range 4 {
		change("wrong", "a third long password")
	}
	change("wrong", "a third long password").want(t, http.StatusUnauthorized, "")
	change("another long password", "a third long password").want(t, http.StatusTooManyRequests, "login_locked")
}

func TestLostSecondFactorIsTakenAway(t *testing.T) {
	t.Parallel()
	p := start(t)
	operator := p.token(p.operator())
	s := p.shop(operator, "a")
	p.post("/api/v1/users/"+s.admin.id+"/mfa/reset", s.adminT, nil).want(t, http.StatusForbidden, "forbidden")
	p.post("/api/v1/users/"+s.admin.id+"/mfa/reset", operator, nil).want(t, http.StatusNoContent, "")
	p.refresh(s.adminTokens.text("refresh_token")).want(t, http.StatusUnauthorized, "")
	if p.pass(s.admin).body["enrolment_required"] != true {
		t.Error("no new enrolment is asked for")
	}
}

package settlement_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mpac-cloud/mpac/sandbox/internal/books/bookstest"
	"github.com/mpac-cloud/mpac/sandbox/internal/settlement"
)

func TestALinkLivesTwoHours(t *testing.T) {
	t.Parallel()
	w, b, hand := day(t)
	bookstest.Paid(t, b, "a", "s1", 1000)
	f := write(t, w, request())
	gin.SetMode(gin.TestMode)
	engine := gin.New()
	links := settlement.NewLinks(w, "", hand.Now)
	links.Mount(engine)
	get := func(address string) (int, string) {
		answer := httptest.NewRecorder()
		engine.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, address, nil))
		return answer.Code, answer.Body.String()
	}
	address := links.URL(f.Name)
	if status, body := get(address); status != http.StatusOK || strings.Count(body, "\n") != 2 {
		t.Errorf("%d %q", status, body)
	}
	for name, bad := range map[string]string{
		"no signature": "/files/" + f.Name, "another file": strings.Replace(address, "m1", "m2", 1), "longer": strings.Replace(address, "expires=", "expires=9", 1),
	} {
		if status, _ := get(bad); status != http.StatusForbidden {
			t.Errorf("%s: %d", name, status)
		}
	}
	hand.Advance(2*time.Hour + time.Second)
	if status, _ := get(address); status != http.StatusForbidden {
		t.Errorf("after two hours: %d", status)
	}
}

package supervise

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestAnswersMeansTwoHundred(t *testing.T) {
	t.Parallel()
	for status, ready := range map[int]bool{http.StatusOK: true, http.StatusNoContent: false, http.StatusServiceUnavailable: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		if err := Answers(server.URL)(t.Context()); (err == nil) != ready {
			t.Errorf("%d: %v", status, err)
		}
		server.Close()
		if Answers(server.URL)(t.Context()) == nil {
			t.Error("ready where nobody listens")
		}
	}
}

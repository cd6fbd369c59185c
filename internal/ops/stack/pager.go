package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Alert is one alert as Alertmanager sends it to a webhook.
type Alert struct {
	Status      string            `json:"status"` // firing, resolved
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
}

// Page stands in for the people who are paged: it listens on the address and hands over what Alertmanager sends to /page and
// /ticket, until ctx is over. The watchdog's beat is taken and kept to itself.
func Page(ctx context.Context, address string, tell func(contact string, a Alert)) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("the pager: %w", err)
	}
	return pageOn(ctx, l, tell)
}

func pageOn(ctx context.Context, l net.Listener, tell func(contact string, a Alert)) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{contact}", func(w http.ResponseWriter, r *http.Request) {
		var message struct {
			Alerts []Alert `json:"alerts"`
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&message); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if contact := r.PathValue("contact"); contact != "watchdog" {
			for _, a := range message.Alerts {
				tell(contact, a)
			}
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("the pager: %w", err)
	}
	return nil
}

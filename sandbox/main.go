// The sandbox plays the payment providers on one machine, from their documents alone: it shares no code with the adapters
// that it tests. PayPay's paths are at the root of one port; the console and the wallet are on another.
package main

import (
	"context"

	"github.com/mpac-cloud/mpac/platform/httpserver"
	"github.com/mpac-cloud/mpac/platform/service"
)

func main() {
	service.Service[Config]{
		Name: "sandbox", Short: "Plays the payment providers on one machine: protocol, wallet, webhooks, faults, settlement files",
		Serve:  serve,
		Routes: func() ([]httpserver.Route, error) { return routes(context.Background()) },
	}.Main()
}

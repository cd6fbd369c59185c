package command

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mpac": func() { os.Exit(Main(os.Args[1:])) }})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{Dir: "testdata"})
}

// Every command says what it does and shows an example.
func TestEveryCommandHasAnExample(t *testing.T) {
	t.Parallel()
	for _, c := range Root().Commands() {
		if c.Short == "" || c.Example == "" {
			t.Errorf("mpac %s: no description or no example", c.Name())
		}
		for _, sub := range c.Commands() {
			if sub.Short == "" || sub.Example == "" {
				t.Errorf("mpac %s %s: no description or no example", c.Name(), sub.Name())
			}
		}
	}
}

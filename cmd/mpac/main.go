// Command mpac is the operator's tool.
package main

import (
	"os"

	"github.com/mpac-cloud/mpac/internal/ops/command"
)

func main() { os.Exit(command.Main(os.Args[1:])) }

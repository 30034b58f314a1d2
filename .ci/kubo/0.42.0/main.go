// Kubo's own program, of the version that go.mod pins: what the tests talk to.
package main

import (
	"os"

	"github.com/ipfs/kubo/cmd/ipfs/kubo"
)

func main() { os.Exit(kubo.Start(kubo.BuildDefaultEnv)) }

// Loads a compose file as Docker Compose itself does, with the specification's own library: schema,
// interpolation, references between services. Prints the loaded project as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	if len(os.Args) != 2 {
		fail(fmt.Errorf("usage: check COMPOSE_FILE"))
	}
	options, err := cli.NewProjectOptions(os.Args[1:], cli.WithOsEnv)
	fail(err)
	project, err := cli.ProjectFromOptions(context.Background(), options)
	fail(err)
	fail(json.NewEncoder(os.Stdout).Encode(project))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "compose:", err)
		os.Exit(1)
	}
}

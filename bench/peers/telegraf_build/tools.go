//go:build tools

// Package tools names the program that is built; see bench/telegraf.py.
package tools

import _ "github.com/influxdata/telegraf/cmd/telegraf"

package modules

import (
	"strings"
	"testing"

	"moongate/internal/conf"
)

// TestRows finds rows that contradict themselves or each other.
func TestRows(t *testing.T) {
	if err := conf.Check(Conf()); err != nil {
		t.Error(err)
	}
}

// TestArguments: what is there is not announced as missing.
func TestArguments(t *testing.T) {
	args := " " + strings.Join(Arguments(Conf()), " ") + " "
	if strings.Contains(args, " --without-http_rewrite_module ") {
		t.Error(args)
	}
	if none := strings.Join(Arguments(nil), " "); !strings.Contains(none, "--without-http_rewrite_module") || strings.Contains(none, "_ssl_module") {
		t.Error(none)
	}
}

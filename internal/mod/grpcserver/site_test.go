package grpcserver_test

import (
	"os"
	"path/filepath"
	"testing"

	"moongate/internal/testkit/cert"
	"moongate/internal/testkit/grpctest"
)

// site is a folder with what the configurations of these tests name.
func site(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	grpctest.Files(t, dir)
	for _, f := range []string{"greeter.lua", "greeter.proto"} {
		b, err := os.ReadFile(filepath.Join("testdata", f))
		if err != nil {
			t.Fatal(err)
		}
		cert.WriteFile(t, dir, f, b)
	}
	return dir
}

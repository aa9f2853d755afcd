package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"moongate/internal/testkit"
)

// TestSites runs the tests that the sites themselves have, in a copy.
func TestSites(t *testing.T) {
	for _, name := range []string{"hello", "gateway"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), name)
			if err := os.CopyFS(dir, os.DirFS(name)); err != nil {
				t.Fatal(err)
			}
			if script := filepath.Join(dir, "tls/make.sh"); exists(script) {
				if _, err := exec.LookPath("openssl"); err != nil {
					t.Skip("openssl is not installed")
				}
				if out, err := exec.Command("sh", script).CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", script, err, out)
				}
			}
			testkit.RunDir(t, filepath.Join(dir, "tests"))
		})
	}
}

func exists(name string) bool { _, err := os.Stat(name); return err == nil }

// Package watch notices that files change, by looking at them: it works on every file system, and a site has few files.
package watch

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Pause is how often the files are looked at.
const Pause = 300 * time.Millisecond

// Stamp is a text that changes when a file below the roots does whose name ends so (any, without suffixes). What a server writes
// and hidden files do not count.
func Stamp(roots []string, suffixes ...string) string {
	var b strings.Builder
	for _, root := range roots {
		filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			name := d.Name()
			switch {
			case path != root && strings.HasPrefix(name, ".") || d.IsDir() && (name == "logs" || strings.HasSuffix(name, "_temp")):
				if d.IsDir() {
					return fs.SkipDir
				}
			case d.IsDir() || !ends(name, suffixes):
			default:
				if st, err := os.Stat(path); err == nil {
					fmt.Fprintf(&b, "%s %d %d\n", path, st.Size(), st.ModTime().UnixNano())
				}
			}
			return nil
		})
	}
	return b.String()
}

func ends(name string, suffixes []string) bool {
	for _, s := range suffixes {
		if strings.HasSuffix(name, s) {
			return true
		}
	}
	return len(suffixes) == 0
}

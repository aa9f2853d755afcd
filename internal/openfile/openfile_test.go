package openfile

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func z(name string) []byte { return append([]byte(name), 0)[:len(name)] }

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	f := write(t, filepath.Join(dir, "f"), "text")
	link, dangling, sub := filepath.Join(dir, "link"), filepath.Join(dir, "dangling"), filepath.Join(dir, "sub")
	os.Symlink("f", link)
	os.Symlink("none", dangling)
	os.Mkdir(sub, 0o755)
	in := write(t, filepath.Join(sub, "in"), "x")
	os.Symlink("sub", filepath.Join(dir, "to"))
	through := filepath.Join(dir, "to", "in")
	for _, c := range []struct {
		name   string
		mode   Mode
		err    syscall.Errno
		failed string
		size   int64
	}{
		{f, Mode{}, 0, "", 4}, {link, Mode{}, 0, "", 4}, {dangling, Mode{}, syscall.ENOENT, "open()", 0}, {f + "/x", Mode{}, syscall.ENOTDIR, "open()", 0},
		{f, Mode{Links: LinksNone}, 0, "", 4}, {link, Mode{Links: LinksNone}, syscall.ELOOP, "openat()", 0}, {through, Mode{Links: LinksNone}, syscall.ENOTDIR, "openat()", 0},
		{in, Mode{Links: LinksNone}, 0, "", 1}, {link, Mode{Links: LinksOwner}, 0, "", 4}, {through, Mode{Links: LinksOwner}, 0, "", 1},
		{through, Mode{Links: LinksNone, From: len(dir) + 3}, 0, "", 1}, {link, Mode{Links: LinksNone, From: len(dir)}, syscall.ELOOP, "openat()", 0},
		{dir + "//sub///in", Mode{Links: LinksNone}, 0, "", 1}, {dir + "/none/x", Mode{Links: LinksNone, From: len(dir) + 5}, syscall.ENOENT, "open()", 0},
		{f, Mode{Dir: true}, 0, "", 4},
	} {
		var i, j Info
		name := z(c.name)
		ok := Open(name, c.mode, &i)
		if ok != (c.err == 0) || i.Err != c.err || !ok && (i.Failed != c.failed || i.FD != -1) || ok && (i.Size != c.size || !i.IsRegular() || i.FD < 0) {
			t.Errorf("%s %v: %+v", c.name, c.mode, i)
		}
		if i.FD >= 0 {
			Close(i.FD)
		}
		if string(name) != c.name {
			t.Errorf("%s became %s", c.name, name)
		}
		if Stat(name, c.mode, &j) != ok || ok && (j.Size != c.size || j.Uniq != i.Uniq || j.FD != -1) {
			t.Errorf("stat %s %v: %+v", c.name, c.mode, j)
		}
	}
	for _, m := range []Mode{{}, {Dir: true}, {Links: LinksNone}, {Links: LinksOwner}} {
		for _, name := range []string{sub, sub + "/"} {
			var i Info
			if !Open(z(name), m, &i) || !i.IsDir() || i.FD != -1 {
				t.Errorf("%s %v: %+v", name, m, i)
			}
		}
	}
}

// open asks the cache and tells what it said: size, "dir", or the error.
func open(t *testing.T, c *Cache, name string, terms Terms, now int64) (*Entry, Info) {
	t.Helper()
	var i Info
	e, ok := c.Open(z(name), &terms, now, &i)
	if ok != (i.Err == 0) || (e != nil) != (ok && !i.IsDir()) {
		t.Fatalf("%s: %v %v %+v", name, e, ok, i)
	}
	return e, i
}

func TestCache(t *testing.T) {
	dir := t.TempDir()
	f := write(t, filepath.Join(dir, "f"), "1234")
	terms := Terms{Valid: 10, MinUses: 1}
	c := NewCache(2, 60)
	e, i := open(t, c, f, terms, 100)
	fd := i.FD
	c.Release(e, 1, 100)
	write(t, f, "12345678")
	if e, i = open(t, c, f, terms, 105); i.Size != 4 || i.FD != fd {
		t.Errorf("valid, but asked again: %+v", i)
	}
	c.Release(e, 1, 105)
	if e, i = open(t, c, f, terms, 110); i.Size != 8 || i.FD != fd {
		t.Errorf("not asked again: %+v", i)
	}
	// Another file takes the place while the first is in use.
	os.Rename(write(t, filepath.Join(dir, "new"), "n"), f)
	e2, i2 := open(t, c, f, terms, 130)
	if i2.Size != 1 || i2.FD == fd || e2 == e {
		t.Errorf("replaced: %+v", i2)
	}
	var st syscall.Stat_t
	if fstat(fd, &st) != 0 || st.Size != 8 {
		t.Error("closed in use")
	}
	c.Release(e, 1, 130)
	if fstat(fd, &st) == 0 {
		t.Error("not closed after use")
	}
	c.Release(e2, 1, 130)
	// Errors are remembered on demand.
	none := filepath.Join(dir, "none")
	open(t, c, none, terms, 140)
	if c.Len() != 1 {
		t.Error(c.Len())
	}
	errs := terms
	errs.Errors = true
	open(t, c, none, errs, 140)
	write(t, none, "there")
	if _, i := open(t, c, none, errs, 141); i.Err != syscall.ENOENT || i.Failed != "open()" {
		t.Errorf("%+v", i)
	}
	e, i = open(t, c, none, errs, 155)
	if i.Size != 5 {
		t.Errorf("%+v", i)
	}
	c.Release(e, 1, 155)
	// A folder; the entry used least recently leaves.
	if _, i := open(t, c, dir, terms, 156); !i.IsDir() || c.Len() != 2 {
		t.Errorf("%+v, %d entries", i, c.Len())
	}
	if fstat(i2.FD, &st) == 0 {
		t.Error("a dropped file is open")
	}
	// Inactive entries leave with the next release.
	e, _ = open(t, c, none, terms, 300)
	c.Release(e, 1, 300)
	if c.Len() != 1 {
		t.Error(c.Len())
	}
	c.Trim(361)
	if c.Len() != 0 || c.queue.next != &c.queue {
		t.Error(c.Len())
	}
}

func TestMinUses(t *testing.T) {
	dir := t.TempDir()
	f := write(t, filepath.Join(dir, "f"), "x")
	terms := Terms{Valid: 10, MinUses: 2}
	c := NewCache(2, 60)
	var st syscall.Stat_t
	e, i := open(t, c, f, terms, 1)
	c.Release(e, 2, 1)
	if fstat(i.FD, &st) == 0 {
		t.Error("kept open after one use")
	}
	e, i = open(t, c, f, terms, 2)
	c.Release(e, 2, 2)
	if fstat(i.FD, &st) != 0 {
		t.Error("closed after two uses")
	}
	e, _ = open(t, c, f, terms, 3)
	c.Shut()
	if fstat(i.FD, &st) != 0 {
		t.Error("closed in use")
	}
	c.Release(e, 2, 3)
	if fstat(i.FD, &st) == 0 {
		t.Error("open after all")
	}
	e, i = open(t, c, f, terms, 4)
	c.Release(e, 2, 4)
	if c.Len() != 0 || fstat(i.FD, &st) == 0 {
		t.Error("kept after the end")
	}
}

func TestNoGarbage(t *testing.T) {
	f := z(write(t, filepath.Join(t.TempDir(), "f"), "x"))
	c := NewCache(2, 60)
	terms := Terms{Valid: 10, MinUses: 1}
	if n := testing.AllocsPerRun(100, func() {
		var i Info
		if !Stat(f, Mode{}, &i) || !Open(f, Mode{}, &i) {
			t.Fatal(i.Err)
		}
		Close(i.FD)
		e, _ := c.Open(f, &terms, 1, &i)
		c.Release(e, 1, 1)
	}); n != 0 {
		t.Error(n)
	}
}

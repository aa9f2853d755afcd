package luajit

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
)

func openDict(t testing.TB, name string, size int64) *Dict {
	t.Helper()
	d, err := OpenDict(name, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Release)
	return d
}

func TestDictStores(t *testing.T) {
	d := openDict(t, "stores", 64<<10)
	if err := d.Set([]byte("k"), []byte("value"), 0); err != nil {
		t.Fatal(err)
	}
	if v, ok := d.Get(nil, []byte("k")); !ok || string(v) != "value" {
		t.Fatalf("got %q, %v", v, ok)
	}
	if n, err := d.Incr([]byte("n"), 2, 40, 0); err != nil || n != 42 {
		t.Fatalf("incr: %v, %v", n, err)
	}
	if _, err := d.Incr([]byte("k"), 1, 0, 0); err == nil || err.Error() != "not a number" {
		t.Fatalf("incr of a string: %v", err)
	}
	d.Delete([]byte("k"))
	if _, ok := d.Get(nil, []byte("k")); ok {
		t.Fatal("deleted entry is there")
	}
}

func TestDictIsFoundByNameAndSize(t *testing.T) {
	a, b, c := openDict(t, "same", 16<<10), openDict(t, "same", 16<<10), openDict(t, "same", 32<<10)
	a.Set([]byte("k"), []byte("v"), 0)
	if _, ok := b.Get(nil, []byte("k")); !ok {
		t.Error("the same name and size gave another dictionary")
	}
	if _, ok := c.Get(nil, []byte("k")); ok {
		t.Error("another size gave the same dictionary")
	}
}

// Random stores of all sizes keep within the memory, and every page comes back.
func TestDictGivesMemoryBack(t *testing.T) {
	d := openDict(t, "memory", 256<<10)
	empty := d.FreeSpace()
	var keys [][]byte
	for i := range 5000 {
		k := fmt.Appendf(nil, "key%d", i*7919%701)
		if err := d.Set(k, bytes.Repeat([]byte{byte(i)}, i*31%20000), 0); err != nil {
			t.Fatalf("set %d: %v", i, err)
		}
		keys = append(keys, k)
	}
	for _, k := range keys {
		d.Delete(k)
	}
	if got := d.FreeSpace(); got != empty {
		t.Fatalf("free space %d, was %d", got, empty)
	}
}

// Values are seen whole while other threads replace them, and counts are exact.
func TestDictIsAtomic(t *testing.T) {
	d := openDict(t, "atomic", 64<<10)
	const rounds = 3000
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			val := bytes.Repeat([]byte{byte('a' + g)}, 100+1000*g)
			var buf []byte
			for range rounds {
				d.Set([]byte("shared"), val, 0)
				v, ok := d.Get(buf[:0], []byte("shared"))
				if !ok || len(bytes.Trim(v, string(v[:1]))) != 0 {
					t.Error("torn or missing value")
					return
				}
				buf = v
				d.Incr([]byte("n"), 1, 0, 0)
			}
		}()
	}
	wg.Wait()
	if n, _ := d.Number([]byte("n")); n != 4*rounds {
		t.Fatalf("count %v", n)
	}
}

func BenchmarkDictLua(b *testing.B) {
	v, err := NewVM(Config{Defs: NewDefs(nil, nil), Guard: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	if err := v.DefineDict(openDict(b, "bench", 1<<20)); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct{ name, call string }{
		{"get", `d:get("key")`}, {"set", `d:set("key", "some value")`}, {"incr", `d:incr("n", 1, 0)`},
	} {
		b.Run(c.name, func(b *testing.B) {
			fn, err := v.Load(fmt.Appendf(nil, `local d = ngx.shared.bench; d:set("key", "some value")
				for i = 1, %d do %s end`, b.N, c.call), "=bench")
			if err != nil {
				b.Fatal(err)
			}
			th, err := v.NewThread()
			if err != nil {
				b.Fatal(err)
			}
			th.Prepare(fn, 1, nil)
			b.ResetTimer()
			if rc := th.Resume(); rc != RetDone {
				b.Fatal(v.Failure())
			}
			b.StopTimer()
			th.Reset()
		})
	}
}

// Package filecache keeps responses as files, and an index of them that all workers share. It knows neither requests nor
// servers: who uses it says what the key is, and gives it the heads and bodies to keep.
//
// An entry is found by the MD5 of its key, which is also the name of its file, below folders of the cache's levels. The
// file begins with a header that has the whole key, so that keys with the same MD5 never share an entry, then come the
// response's head and body. The layout is nginx's, so that a cache may be taken over and tools that look for "KEY: " lines go on
// working. A file gets its name when it is complete, and is then replaced only as a whole; what changes in place is the
// times in its header.
//
// The index is one array of entries without pointers, bounded by the size of the keys zone, with a list in the order of use
// and one lock. The lock is never held over a system call. Entries are pinned while a request has them, and neither
// deleted nor given to another key until it has let go.
//
// A manager deletes what was not used for long, what is too much for max_size or min_free, and makes room in an index that is
// full. A loader reads the names of the files that a cache had before the process started; until it is done ("cold") every
// key that the index does not know is looked for in the file system.
package filecache

import (
	"fmt"
	"math"
	"path/filepath"
	"syscall"
	"time"

	"moongate/internal/base/nlog"
)

// Config is what the configuration says of a cache.
type Config struct {
	Name     string
	Path     string // full, without a slash at its end
	Levels   []int  // lengths of the names of folders, 1 or 2
	OwnTemp  bool   // files are written beside their place, not in the folder of whoever writes them
	Size     int64  // of the index
	Inactive time.Duration
	MaxSize  int64 // of all files; -1: no bound
	MinFree  int64 // of the file system; 0: no bound
	Manager  Pace
	Loader   Pace
	// Log is where the manager and the loader write to; it may be another one at every call.
	Log func() *nlog.Logger
}

// Pace bounds how much is done at once.
type Pace struct {
	Files     int
	Sleep     time.Duration
	Threshold time.Duration
}

// Cache is a cache as one configuration describes it. The index is that of the cache of this name in the configuration
// before, if there was one.
type Cache struct {
	Config
	index *index
	block int64 // size of a block of the file system
	max   int64 // blocks
}

// New makes a cache; Adopt or Open makes it ready.
func New(c Config) *Cache { return &Cache{Config: c} }

// Adopt takes the index of the cache of this name in the configuration before over; nil: there was none, or one of another
// size. The error is nginx's.
func (c *Cache) Adopt(old *Cache) error {
	if old == nil || old.Size != c.Size {
		c.index = newIndex(c.Size)
	} else {
		if old.Path != c.Path {
			return fmt.Errorf("cache \"%s\" uses the \"%s\" cache path while previously it used the \"%s\" cache path", c.Name, c.Path, old.Path)
		}
		if len(old.Levels) != len(c.Levels) {
			return fmt.Errorf("cache \"%s\" had previously different levels", c.Name)
		}
		for i, n := range c.Levels {
			if old.Levels[i] != n {
				return fmt.Errorf("cache \"%s\" had previously different levels", c.Name)
			}
		}
		c.index = old.index
	}
	c.block = blockSize(c.Path)
	c.max = math.MaxInt64
	if c.MaxSize >= 0 {
		c.max = c.MaxSize / c.block
	}
	return nil
}

func blockSize(path string) int64 {
	var fs syscall.Statfs_t
	if syscall.Statfs(path, &fs) != nil || fs.Bsize <= 0 || fs.Bsize%512 != 0 {
		return 512
	}
	return fs.Bsize
}

// free is how many bytes the file system has left for files.
func (c *Cache) free() int64 {
	var fs syscall.Statfs_t
	if syscall.Statfs(c.Path, &fs) != nil || fs.Bavail > math.MaxInt64/uint64(max(fs.Bsize, 1)) {
		return math.MaxInt64
	}
	return int64(fs.Bavail) * fs.Bsize
}

// blocks is how many blocks a file with so many sectors has.
func (c *Cache) blocks(sectors int64) int64 { return (sectors*512 + c.block - 1) / c.block }

// Len is the number of entries, Blocks that of blocks of their files.
func (c *Cache) Len() int {
	c.index.Lock()
	defer c.index.Unlock()
	return int(c.index.n)
}

// Blocks is the number of blocks of all files, as far as they are known.
func (c *Cache) Blocks() int64 {
	c.index.Lock()
	defer c.index.Unlock()
	return c.index.blocks
}

// Cold reports whether there may be files that the index does not know yet.
func (c *Cache) Cold() bool { return c.index.cold.Load() }

const hexDigits = "0123456789abcdef"

// NameLen bounds how much AppendName appends.
func (c *Cache) NameLen() int { return len(c.Path) + 1 + 3*len(c.Levels) + 2*keySize }

// AppendName appends the name of the file of a key.
func (c *Cache) AppendName(dst []byte, k *Key) []byte {
	var hex [2 * keySize]byte
	for i, b := range k {
		hex[2*i], hex[2*i+1] = hexDigits[b>>4], hexDigits[b&15]
	}
	dst = append(append(dst, c.Path...), '/')
	end := len(hex)
	for _, n := range c.Levels {
		dst = append(append(dst, hex[end-n:end]...), '/')
		end -= n
	}
	return append(dst, hex[:]...)
}

// keyOf is the key that a file has by its name.
func keyOf(name string) (k Key, ok bool) {
	name = filepath.Base(name)
	if len(name) != 2*keySize {
		return k, false
	}
	for i := range k {
		hi, lo := digit(name[2*i]), digit(name[2*i+1])
		if hi < 0 || lo < 0 {
			return k, false
		}
		k[i] = byte(hi<<4 | lo)
	}
	return k, true
}

func digit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

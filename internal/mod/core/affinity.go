package core

import (
	"runtime"

	"moongate/internal/conf"
)

// maxCPU is the number of processors the kernel's call takes.
const maxCPU = 1024

// CPUSet is a set of processors, as the kernel takes it.
type CPUSet [maxCPU / 64]uint64

// Add adds processor n.
func (s *CPUSet) Add(n int) { s[n/64] |= 1 << (n % 64) }

// Has reports whether processor n is in the set.
func (s *CPUSet) Has(n int) bool { return s[n/64]&(1<<(n%64)) != 0 }

// Processors is the set all workers together may run on; nil means any.
func (c *Config) Processors() *CPUSet {
	if len(c.Affinity) == 0 {
		return nil
	}
	all := &CPUSet{}
	n := min(len(c.Affinity), max(c.Workers, 1))
	for _, m := range c.Affinity[:n] {
		for i := range m {
			all[i] |= m[i]
		}
	}
	if *all == (CPUSet{}) {
		return nil
	}
	return all
}

func setAffinity(c *conf.Cmd, t *Config) error {
	if t.Affinity != nil {
		return c.Duplicate()
	}
	masks := c.Args
	if masks[0] == "auto" {
		if len(masks) > 2 {
			return c.Errorf("invalid number of arguments in \"worker_cpu_affinity\" directive")
		}
		t.AffinityAuto = true
		masks = masks[1:]
		if len(masks) == 0 {
			var all CPUSet
			for i := range min(runtime.NumCPU(), maxCPU) {
				all.Add(i)
			}
			t.Affinity = []CPUSet{all}
		}
	}
	for _, text := range masks {
		m, err := parseMask(c, text)
		if err != nil {
			return err
		}
		t.Affinity = append(t.Affinity, m)
	}
	return nil
}

// parseMask reads a mask from its right end, which is processor 0.
func parseMask(c *conf.Cmd, text string) (m CPUSet, err error) {
	if len(text) > maxCPU {
		return m, c.Errorf("\"worker_cpu_affinity\" supports up to %d CPUs only", maxCPU)
	}
	cpu := 0
	for i := len(text) - 1; i >= 0; i-- {
		switch text[i] {
		case ' ':
			continue
		case '1':
			m.Add(cpu)
		case '0':
		default:
			return m, c.Errorf("invalid character \"%c\" in \"worker_cpu_affinity\"", text[i])
		}
		cpu++
	}
	return m, nil
}

package upstream

import (
	"hash/crc32"
	"sort"
	"strconv"
	"strings"
)

// ipHash is nginx's hash of the first three bytes of an IPv4 address, or all of an IPv6 one.
func (c *Choice) ipHash(now int64) int {
	for ; c.misses <= maxMisses; c.misses++ {
		h := c.hash
		for _, b := range c.key {
			h = (h*113 + uint32(b)) % 6271
		}
		c.hash = h
		if i := c.set.weighted(int(h) % c.set.total); c.usable(i, now) {
			return i
		}
	}
	return c.roundRobin(now, 0, nil)
}

// plainHash is compatible with Cache::Memcached: the number of the attempt stands before the key from the second on.
func (c *Choice) plainHash(now int64) int {
	for ; c.misses <= maxMisses; c.misses++ {
		sum := uint32(0)
		if c.rehash > 0 {
			var text [20]byte
			sum = crc32.ChecksumIEEE(strconv.AppendInt(text[:0], int64(c.rehash), 10))
		}
		sum = crc32.Update(sum, crc32.IEEETable, c.key)
		c.hash += sum >> 16 & 0x7fff
		c.rehash++
		if i := c.set.weighted(int(c.hash) % c.set.total); c.usable(i, now) {
			return i
		}
	}
	return c.roundRobin(now, 0, nil)
}

// point is a place of a server on the ring of the consistent hash.
type point struct {
	hash   uint32
	server string
}

// pointsPerWeight is Ketama's number.
const pointsPerWeight = 160

// makePoints is compatible with Cache::Memcached::Fast: each point's hash is made of the one before.
func makePoints(peers []*Peer) []point {
	var all []point
	for _, p := range peers {
		host, port := p.Server, ""
		if len(host) >= 5 && strings.EqualFold(host[:5], "unix:") {
			host = host[5:]
		} else if j := strings.LastIndexByte(host, ':'); j >= 0 && strings.Trim(host[j+1:], "0123456789") == "" {
			host, port = host[:j], host[j+1:]
		}
		base := crc32.ChecksumIEEE([]byte(host + "\x00" + port))
		prev := uint32(0)
		for range p.Weight * pointsPerWeight {
			prev = crc32.Update(base, crc32.IEEETable, []byte{byte(prev), byte(prev >> 8), byte(prev >> 16), byte(prev >> 24)})
			all = append(all, point{prev, p.Server})
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].hash < all[j].hash })
	kept := all[:0]
	for i := range all {
		if i == 0 || all[i].hash != all[i-1].hash {
			kept = append(kept, all[i])
		}
	}
	return kept
}

// findPoint gives the place of the first point at or behind the key's.
func (ps *Peers) findPoint(key []byte) uint32 {
	h := crc32.ChecksumIEEE(key)
	return uint32(sort.Search(len(ps.points), func(i int) bool { return ps.points[i].hash >= h }))
}

func (c *Choice) consistent(now int64) int {
	points := c.points
	if len(points) == 0 {
		return -1
	}
	for ; c.misses <= maxMisses; c.misses++ {
		server := points[int(c.hash)%len(points)].server
		if i := c.roundRobin(now, 0, func(p *peerState) bool { return p.Server == server }); i >= 0 {
			return i
		}
		c.hash++
	}
	return c.roundRobin(now, 0, nil)
}

package modules

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"moongate/internal/engine/enginetest"
	"moongate/internal/testkit/poll"
)

// kafka is a broker of one node, as old as the requests of Debian's lua-nginx-kafka: Metadata 0 and Produce 0 to 2, with
// message sets of format 0 and 1. Each topic has two partitions. The brokers that can be had in Go know record batches only.
type kafka struct {
	t        *testing.T
	listener net.Listener
	mu       sync.Mutex
	conns    int
	requests []string            // kind and version
	messages map[string][]string // by topic/partition: key=value
	refuse   []int16             // errors that the next Produce requests get
	hangUp   int                 // that many Produce requests are answered by closing
}

func startKafka(t *testing.T) *kafka {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &kafka{t: t, listener: l, messages: map[string][]string{}}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			k.mu.Lock()
			k.conns++
			k.mu.Unlock()
			go k.serve(c)
		}
	}()
	return k
}

func (k *kafka) serve(c net.Conn) {
	defer c.Close()
	for {
		var size [4]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(c, body); err != nil {
			return
		}
		answer := k.answer(&kafkaReader{body})
		if answer == nil {
			return
		}
		c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(answer))), answer...))
	}
}

// kafkaReader takes the fields of a request; strings have a length of 2 bytes, byte strings one of 4.
type kafkaReader struct{ b []byte }

func (r *kafkaReader) n(size int) int {
	v := 0
	for _, b := range r.b[:size] {
		v = v<<8 | int(b)
	}
	r.b = r.b[size:]
	return v
}

func (r *kafkaReader) str(size int) string {
	n := r.n(size)
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// answer makes the response; nil closes the connection.
func (k *kafka) answer(r *kafkaReader) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	kind, version, id := r.n(2), r.n(2), r.n(4)
	r.str(2) // the client's name
	k.requests = append(k.requests, fmt.Sprintf("%d.%d", kind, version))
	be := binary.BigEndian
	out := be.AppendUint32(nil, uint32(id))
	switch kind {
	case 3:
		return k.metadata(r, out)
	case 0:
		return k.produce(r, out, version)
	}
	k.t.Errorf("a request of kind %d", kind)
	return nil
}

func (k *kafka) metadata(r *kafkaReader, out []byte) []byte {
	be := binary.BigEndian
	host, port, _ := net.SplitHostPort(k.listener.Addr().String())
	number, _ := strconv.Atoi(port)
	out = be.AppendUint32(out, 1) // one broker, number 7
	out = be.AppendUint32(out, 7)
	out = appendString(out, host)
	out = be.AppendUint32(out, uint32(number))
	topics := r.n(4)
	out = be.AppendUint32(out, uint32(topics))
	for range topics {
		out = be.AppendUint16(out, 0)
		out = appendString(out, r.str(2))
		out = be.AppendUint32(out, 2)
		for p := range uint32(2) {
			out = be.AppendUint16(out, 0)
			for _, v := range []uint32{p, 7, 1, 7, 1, 7} { // number, leader, replicas, those in sync
				out = be.AppendUint32(out, v)
			}
		}
	}
	return out
}

func (k *kafka) produce(r *kafkaReader, out []byte, version int) []byte {
	if k.hangUp > 0 {
		k.hangUp--
		return nil
	}
	var refused int16
	if len(k.refuse) > 0 {
		refused, k.refuse = k.refuse[0], k.refuse[1:]
	}
	be := binary.BigEndian
	r.n(2 + 4) // acknowledgements, timeout
	topics := r.n(4)
	out = be.AppendUint32(out, uint32(topics))
	for range topics {
		topic := r.str(2)
		out = appendString(out, topic)
		partitions := r.n(4)
		out = be.AppendUint32(out, uint32(partitions))
		for range partitions {
			p := r.n(4)
			set := &kafkaReader{[]byte(r.str(4))}
			name := fmt.Sprintf("%s/%d", topic, p)
			offset := len(k.messages[name])
			if refused == 0 {
				k.messages[name] = append(k.messages[name], k.messageSet(set, version)...)
			}
			out = be.AppendUint32(out, uint32(p))
			out = be.AppendUint16(out, uint16(refused))
			out = be.AppendUint64(out, uint64(offset))
			if version >= 2 {
				out = be.AppendUint64(out, 1<<64-1)
			}
		}
	}
	if version >= 1 {
		out = be.AppendUint32(out, 0)
	}
	return out
}

// messageSet reads messages: offset, size, checksum, format, attributes, time from format 1 on, key, value.
func (k *kafka) messageSet(r *kafkaReader, version int) (list []string) {
	for len(r.b) > 0 {
		r.n(8)
		m := &kafkaReader{[]byte(r.str(4))}
		if sum := uint32(m.n(4)); sum != crc32.ChecksumIEEE(m.b) {
			k.t.Error("a wrong checksum")
		}
		format := m.n(2) >> 8
		if format != version/2 {
			k.t.Errorf("format %d in version %d", format, version)
		}
		if format == 1 {
			if at := time.UnixMilli(int64(m.n(8))); time.Since(at).Abs() > time.Hour {
				k.t.Errorf("a message of %v", at)
			}
		}
		list = append(list, m.str(4)+"="+m.str(4))
	}
	return list
}

// TestKafka runs Debian's lua-nginx-kafka, which produces only: at once, in the background, and with a broker that refuses,
// goes away and comes back.
func TestKafka(t *testing.T) {
	dir := libraryDir(t, "nginx/kafka/producer.lua", "lua-nginx-kafka")
	k := startKafka(t)
	host, port, _ := net.SplitHostPort(k.listener.Addr().String())
	s := enginetest.StartIn(t, t.TempDir(), Set(), `
		events { }
		http {
			lua_package_path "`+dir+`/?.lua;;";
			init_by_lua_block {
				brokers = {{host = "`+host+`", port = `+port+`}}
				lost = {}
				function background()
					return require "nginx.kafka.producer":new(brokers, {producer_type = "async", flush_time = 60000, batch_num = 200, retry_backoff = 1,
						error_handle = function(topic, partition, queue, n, err, retryable)
							lost[#lost + 1] = topic .. "/" .. partition .. " " .. n / 2 .. " " .. err .. " " .. tostring(retryable)
						end})
				end
			}
			server {
				listen 127.0.0.1:8080;
				location = /sync { content_by_lua_block {
					local producer = require "nginx.kafka.producer"
					for version = 0, 2 do
						local p = producer:new(brokers, {api_version = version})
						ngx.print(tostring(p:send("now", "key", "a" .. version)), " ")
					end
					local p = producer:new(brokers)
					ngx.print(tostring(p:send("now", "key", ("x"):rep(200000))), " ", tostring(p:offset()))
				} }
				location = /async { content_by_lua_block {
					local p = background()
					for i = 1, 500 do assert(p:send("later", i % 2 == 1 and "d" or "key", tostring(i))) end
				} }
				location = /flush { content_by_lua_block { background():flush() } }
				location = /again { content_by_lua_block {
					local p = require "nginx.kafka.producer":new(brokers, {retry_backoff = 1})
					ngx.print(tostring(p:send("again", "key", ngx.var.arg_m)))
				} }
				location = /fails { content_by_lua_block {
					local p = require "nginx.kafka.producer":new(brokers, {retry_backoff = 1, max_retry = 2})
					ngx.print(p:send("fails", "key", "m"))
				} }
				location = /lost { content_by_lua_block {
					local p = background()
					p:send("lost", "key", "m")
					p:flush()
					ngx.print(table.concat(lost, ","))
				} }
				location = /metadata { content_by_lua_block {
					local c = require "nginx.kafka.client":new(brokers)
					local nodes, partitions = c:fetch_metadata("other")
					ngx.print(nodes[7].host, " ", nodes[7].port == brokers[1].port, " ", partitions.num, " ", partitions[1].leader)
				} }
			}
		}`)
	get := func(uri, want string) {
		t.Helper()
		if got := unchunk(enginetest.Body(s.Get(uri))); got != want {
			t.Errorf("%s: %q, want %q\n%s", uri, got, want, s.ErrorLog())
		}
	}
	partition := func(topic, key string) []string {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.messages[fmt.Sprintf("%s/%d", topic, crc32.ChecksumIEEE([]byte(key))%2)]
	}
	get("/metadata", host+" true 2 7")
	get("/sync", "1LL 2LL 3LL 4LL 4LL")
	if got, want := strings.Join(partition("now", "key"), " "), "key=a0 key=a1 key=a2 key="+strings.Repeat("x", 200000); got != want {
		t.Errorf("now: %.200q", got)
	}
	if all := strings.Join(k.requests, " "); !strings.Contains(all, "0.0 ") || !strings.Contains(all, "0.1 ") || !strings.Contains(all, "0.2 ") {
		t.Error("requests", all)
	}

	get("/async", "") // what is buffered leaves by a timer, 200 at once; the rest is told to
	all := func() []string { return slices.Concat(partition("later", "d"), partition("later", "key")) }
	if !poll.Until(time.Minute, func() bool { s.Get("/flush"); return len(all()) == 500 }) {
		t.Error("later:", len(all()), s.ErrorLog())
	}
	last := map[string]int{}
	for _, m := range all() { // in the order they were given
		key, value, _ := strings.Cut(m, "=")
		if n, _ := strconv.Atoi(value); n <= last[key] {
			t.Fatalf("later: %s after %d", m, last[key])
		} else {
			last[key] = n
		}
	}
	if last["d"] != 499 || last["key"] != 500 {
		t.Error("later:", last)
	}

	k.mu.Lock()
	k.refuse = []int16{6, 3} // no leader here, no such topic: the library asks where it is now
	k.mu.Unlock()
	get("/again?m=1", "1LL")
	k.mu.Lock()
	k.hangUp = 1
	k.mu.Unlock()
	get("/again?m=2", "2LL")
	if got := strings.Join(partition("again", "key"), " "); got != "key=1 key=2" {
		t.Error("again:", got)
	}
	k.mu.Lock()
	k.refuse = []int16{10} // too large: no use in trying again
	k.mu.Unlock()
	get("/fails", "nilMessageSizeTooLargefalse")
	k.mu.Lock()
	k.hangUp = 3
	k.mu.Unlock()
	get("/lost", fmt.Sprintf("lost/%d 1 closed true", crc32.ChecksumIEEE([]byte("key"))%2))

	k.mu.Lock()
	defer k.mu.Unlock()
	if k.conns > 8 {
		t.Errorf("%d connections for %d requests", k.conns, len(k.requests))
	}
}

package statuspage

import (
	"bytes"
	"html"
	"strconv"
	"time"
)

// page writes HTML. Everything that is not a number passes html.EscapeString.
type page struct{ bytes.Buffer }

const pageHead = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Moongate status</title><style>
body{font:14px/1.5 system-ui,sans-serif;margin:2em;color:#222}
table{border-collapse:collapse;margin:.5em 0 2em}
th,td{padding:.2em .7em;border-bottom:1px solid #ddd;text-align:right}
th:first-child,td:first-child{text-align:left}
h2{font-size:1.1em;margin:1em 0 0}
.up{color:#176b2c}.down,.drain{color:#777}.unhealthy,.ejected,.panic{color:#b00020;font-weight:bold}
</style></head><body>
<h1>Moongate status</h1>
`

func (p *page) table(heads ...string) {
	p.WriteString("<table><tr>")
	for _, h := range heads {
		p.WriteString("<th>" + html.EscapeString(h) + "</th>")
	}
	p.WriteString("</tr>\n")
}

func (p *page) row(cells ...any) {
	p.WriteString("<tr>")
	for _, c := range cells {
		p.WriteString("<td>")
		switch c := c.(type) {
		case string:
			p.WriteString(html.EscapeString(c))
		case int:
			p.WriteString(strconv.Itoa(c))
		case int64:
			p.WriteString(strconv.FormatInt(c, 10))
		case uint64:
			p.WriteString(strconv.FormatUint(c, 10))
		case state:
			p.WriteString(`<span class="` + html.EscapeString(string(c)) + `">` + html.EscapeString(string(c)) + "</span>")
		}
		p.WriteString("</td>")
	}
	p.WriteString("</tr>\n")
}

func (p *page) title(s string) { p.WriteString("<h2>" + html.EscapeString(s) + "</h2>\n") }

func (p *page) end() { p.WriteString("</table>\n") }

// state is the word for a server's state, also its class.
type state string

func (s *State) html() ([]byte, error) {
	p := &page{}
	p.WriteString(pageHead)
	p.WriteString("<p>version " + html.EscapeString(s.Version) + ", process " + strconv.Itoa(s.PID) + ", up " + s.Time.Sub(s.Started).Truncate(time.Second).String() + "</p>\n")
	c := &s.Connections
	p.title("Connections")
	p.table("active", "accepted", "handled", "requests", "reading", "writing", "waiting", "goroutines", "descriptors")
	p.row(c.Active, c.Accepted, c.Handled, s.Requests, c.Reading, c.Writing, c.Waiting, s.Process.Goroutines, s.Process.Descriptors)
	p.end()
	p.title("Workers")
	p.table("worker", "requests", "connections", "in flight", "Lua memory")
	for _, w := range s.Workers {
		p.row(w.ID, w.Requests, w.Connections, w.Active, size(w.LuaMemory))
	}
	p.end()
	if len(s.Zones) > 0 {
		p.title("Zones")
		p.table("zone", "requests", "1xx", "2xx", "3xx", "4xx", "5xx", "received", "sent", "mean time")
		for _, z := range s.Zones {
			r := &z.Responses
			p.row(z.Name, z.Requests, r.Class1xx, r.Class2xx, r.Class3xx, r.Class4xx, r.Class5xx, size(z.Received), size(z.Sent), mean(z.Time))
		}
		p.end()
	}
	for i := range s.Upstreams {
		p.upstream(&s.Upstreams[i])
	}
	if len(s.GRPC) > 0 {
		p.title("gRPC")
		p.table("method", "role", "upstream", "calls", "not OK", "messages received", "sent")
		for _, c := range s.GRPC {
			all := int64(0)
			for _, n := range c.Handled {
				all += n
			}
			p.row(c.Service+"/"+c.Method, c.Role, c.Upstream, all, all-c.Handled["OK"], c.Received, c.Sent)
		}
		p.end()
	}
	if len(s.Dicts) > 0 {
		p.title("Shared dictionaries")
		p.table("name", "size", "free pages")
		for _, d := range s.Dicts {
			p.row(d.Name, size(d.Size), size(d.Free))
		}
		p.end()
	}
	p.WriteString("</body></html>\n")
	return p.Bytes(), nil
}

func (p *page) upstream(u *Upstream) {
	p.title("Upstream " + u.Name)
	p.WriteString("<p>" + html.EscapeString(u.Method) + ", " + strconv.Itoa(u.Idle) + " idle connections")
	if u.Panics {
		p.WriteString(`, <span class="panic">panic: health is disregarded</span>`)
	}
	if u.Overflows+u.RetriesRefused > 0 {
		p.WriteString(", circuit breaker opened " + strconv.FormatInt(u.Overflows+u.RetriesRefused, 10) + " times")
	}
	p.WriteString("</p>\n")
	p.table("server", "state", "weight", "active", "requests", "2xx", "3xx", "4xx", "5xx", "fails", "received", "sent", "mean time", "checks", "failed", "last check")
	for i := range u.Servers {
		v := &u.Servers[i]
		name := v.Address
		if v.Name != v.Address {
			name += " (" + v.Name + ")"
		}
		if v.Backup {
			name += " backup"
		}
		if v.Chosen {
			name += " chosen by Lua"
		}
		r := &v.Responses
		p.row(name, state(v.State), v.Weight, v.Active, v.Requests, r.Class2xx, r.Class3xx, r.Class4xx, r.Class5xx, v.Fails, size(v.Received), size(v.Sent), mean(v.Time), v.Checks, v.CheckFails, v.LastCheck)
	}
	p.end()
}

func mean(h Histogram) string {
	if h.Count == 0 {
		return "-"
	}
	return time.Duration(h.Sum / float64(h.Count) * 1e9).Round(10 * time.Microsecond).String()
}

func size(n int64) string {
	switch {
	case n >= 10<<20:
		return strconv.FormatInt(n>>20, 10) + " MiB"
	case n >= 10<<10:
		return strconv.FormatInt(n>>10, 10) + " KiB"
	}
	return strconv.FormatInt(n, 10)
}

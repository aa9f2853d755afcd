package resolve

import (
	"errors"
	"net/netip"
	"strings"

	"moongate/internal/netio"
)

// Target is an address of a service.
type Target struct {
	Addr             netip.AddrPort
	Host             string
	Priority, Weight int
}

// Problem is a host of a service that has no address.
type Problem struct {
	Host string
	Err  *Error
}

// Service finds the addresses of a service of a name (RFC 2782); it parks until the deadline at most. A service without
// a dot is one over TCP: "http" stands for "_http._tcp". until is how long the answer counts. The error is an *Error, or that of
// waiting; problems tells of hosts without an address even when there is none.
func (r *Resolver) Service(service, name string, deadline int64) (list []Target, until int64, problems []Problem, err error) {
	full := service + "." + name
	if !strings.Contains(service, ".") {
		full = "_" + service + "._tcp." + name
	}
	srvs, ttl, err := r.askService(&entry{deadline: deadline, waiting: []*netio.Task{r.loop.Current()}}, strings.ToLower(strings.TrimSuffix(full, ".")))
	if err != nil {
		return nil, 0, nil, err
	}
	until = r.loop.Now() + int64(ttl)*second
	if r.cfg.Valid > 0 {
		until = r.loop.Now() + int64(r.cfg.Valid)
	}
	for _, s := range srvs {
		addrs, end, err := r.LookupUntil(s.target, deadline)
		if err != nil {
			var re *Error
			if !errors.As(err, &re) {
				return nil, 0, nil, err
			}
			problems = append(problems, Problem{s.target, re})
			continue
		}
		until = min(until, end)
		for _, a := range addrs {
			list = append(list, Target{netip.AddrPortFrom(a, uint16(s.port)), s.target, s.priority, max(s.weight, 1)})
		}
	}
	if len(list) == 0 {
		return nil, 0, problems, worst(problems)
	}
	return list, until, problems, nil
}

// worst is the error of a service of which no host has an address: that there is none, when any says so.
func worst(problems []Problem) *Error {
	for _, p := range problems {
		if p.Err.Code == 3 {
			return p.Err
		}
	}
	return problems[0].Err
}

// askService asks for the records of a service and follows CNAMEs.
func (r *Resolver) askService(e *entry, name string) ([]srv, uint32, error) {
	for range maxChain {
		q := r.begin(name, typeSRV)
		if err := r.round(e, []*query{q}); err != nil {
			return nil, 0, err
		}
		switch {
		case len(q.a.srvs) > 0:
			return q.a.srvs, q.a.ttl, nil
		case q.a.code != 0:
			return nil, 0, errorOf(q.a.code)
		case q.a.cname == "":
			return nil, 0, errorOf(3)
		}
		name = strings.ToLower(q.a.cname)
	}
	return nil, 0, errUnknown
}

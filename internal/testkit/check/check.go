// Package check compares what a request brought about with what the sections of
// its block expect: the response, the error log and the access log.
package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"moongate/internal/testkit/client"
	"moongate/internal/testkit/pattern"
	"moongate/internal/testkit/perl"
	"moongate/internal/testkit/report"
)

// Checker checks one block. The fields are set by the runner; Request and Repeat
// change between requests.
type Checker struct {
	// Get returns the value of a section.
	Get func(section string) (perl.Value, bool)
	// Expand replaces the $TEST_NGINX_ variables of a text.
	Expand func(text string) (string, error)
	// Out takes each assert, Note a warning.
	Out  func(report.Assert)
	Note func(string)
	// Filter runs a response body filter that is code.
	Filter func(code *perl.Code, body string) (string, error)

	Skip    string // why nothing is checked, empty: all is
	Port    int
	Many    bool // the block has several requests: expectations are lists
	Request int  // index of the request
	Repeat  int  // index of the repetition
}

func (c *Checker) assert(name string, ok bool, diag func() string) {
	a := report.Assert{Name: name, OK: ok}
	switch {
	case c.Skip != "":
		a = report.Assert{Name: name, Skip: "tests skipped due to " + c.Skip}
	case !ok && diag != nil:
		a.Diag = diag()
	}
	c.Out(a)
}

func (c *Checker) fail(name string, err error) {
	c.assert(name, false, func() string { return err.Error() })
}

func (c *Checker) has(section string) bool {
	_, ok := c.Get(section)
	return ok
}

// indexed is a section's value for the current request.
func (c *Checker) indexed(section string) (perl.Value, error) {
	v, _ := c.Get(section)
	list, isList := v.(*perl.Array)
	switch {
	case isList && c.Request < len(list.Elems):
		return list.Elems[c.Request], nil
	case isList:
		return nil, fmt.Errorf("section %s has no value for request %d", section, c.Request)
	case c.Many:
		return nil, fmt.Errorf("the block has several requests, so section %s must be a list", section)
	}
	return v, nil
}

// regex makes a pattern of a value: a string gets the given modifiers.
func regex(v perl.Value, flags string) (*pattern.Regexp, error) {
	if re, ok := v.(*pattern.Regexp); ok {
		return re, nil
	}
	return pattern.Compile(perl.String(v), flags)
}

// ports replaces $ServerPort and $ServerPortForClient.
func (c *Checker) ports(s string) string {
	port := strconv.Itoa(c.Port)
	return strings.NewReplacer("$ServerPortForClient", port, "$ServerPort", port).Replace(s)
}

// Response checks all that sections say about the answer. filtered is the body
// after the block's filters.
func (c *Checker) Response(r *client.Response) {
	c.status(r)
	c.rawHeaders(r)
	c.headers(r)
	body, err := c.filtered(r.Body)
	if err != nil {
		c.fail("response_body_filters", err)
		return
	}
	c.body(body)
}

func (c *Checker) status(r *client.Response) {
	const name = "status code ok"
	diag := func(want string) func() string {
		return func() string {
			text := report.Diff(want, r.Status)
			if r.Fault != "" {
				text += "\n" + r.Fault
			}
			if r.Status != "" {
				text += "\nbody: " + strconv.Quote(r.Body[:min(len(r.Body), 300)])
			}
			return text
		}
	}
	switch {
	case c.has("error_code_like"):
		v, err := c.indexed("error_code_like")
		if err == nil {
			var re *pattern.Regexp
			if re, err = regex(v, "sm"); err == nil {
				c.assert(name, re.Match(r.Status), diag(re.String()))
				return
			}
		}
		c.fail(name, err)
	case c.has("error_code"):
		v, err := c.indexed("error_code")
		if err != nil {
			c.fail(name, err)
			return
		}
		want := strings.TrimSpace(perl.String(v))
		c.assert(name, r.Status == want, diag(want))
	default:
		c.assert(name, r.Status == "200", diag("200"))
	}
}

func (c *Checker) rawHeaders(r *client.Response) {
	for _, s := range []struct {
		section, name string
		want          bool
	}{
		{"raw_response_headers_like", "raw resp headers like", true},
		{"raw_response_headers_unlike", "raw resp headers unlike", false},
	} {
		if c.has(s.section) {
			c.like(s.section, s.name, r.RawHeaders, "s", s.want)
		}
	}
}

// like checks that text matches (or does not) the section's pattern.
func (c *Checker) like(section, name, text, flags string, want bool) {
	v, err := c.indexed(section)
	if err == nil {
		if s, ok := v.(string); ok {
			v = c.ports(s)
		}
		var re *pattern.Regexp
		if re, err = regex(v, flags); err == nil {
			c.assert(name, re.Match(text) == want, func() string {
				verb := "does not match"
				if !want {
					verb = "matches"
				}
				return fmt.Sprintf("%s\n%s\n%s", quoteLong(text), verb, re)
			})
			return
		}
	}
	c.fail(name, err)
}

func quoteLong(s string) string {
	if len(s) > 2000 {
		s = s[:2000] + "..."
	}
	return strconv.Quote(s)
}

// expectation is one line of a response_headers section.
type expectation struct {
	name, value string
	absent      bool
}

func parseExpectations(text string) (out []expectation) {
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if name, ok := strings.CutPrefix(line, "!"); ok {
			out = append(out, expectation{name: strings.TrimSpace(name), absent: true})
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		out = append(out, expectation{strings.TrimSpace(name), strings.TrimSpace(value), !ok})
	}
	return out
}

func (c *Checker) headers(r *client.Response) {
	section := "response_headers"
	if !c.has(section) {
		if section = "response_headers_like"; !c.has(section) {
			return
		}
	}
	v, err := c.indexed(section)
	if err != nil {
		c.fail(section, err)
		return
	}
	for _, e := range parseExpectations(perl.String(v)) {
		got, _ := r.Header(e.name)
		switch {
		case section == "response_headers_like":
			name := "header " + e.name + " like ok"
			re, err := pattern.Compile("^"+e.value+"$", "")
			if err != nil {
				c.fail(name, err)
				continue
			}
			c.assert(name, re.Match(got), func() string { return report.Diff(e.value, got) })
		case e.absent:
			re := pattern.MustCompile(`^\s*`+pattern.Quote(e.name)+`\s*:`, "ms")
			c.assert("header "+e.name+" not present in the raw headers", !re.Match(r.RawHeaders),
				func() string { return r.RawHeaders })
		default:
			want := c.ports(e.value)
			c.assert("header "+e.name+" ok", got == want, func() string { return report.Diff(want, got) })
		}
	}
}

func (c *Checker) body(body string) {
	suffix := fmt.Sprintf("(repeated req %d, req %d)", c.Repeat, c.Request)
	switch {
	case c.has("response_body"):
		c.exactBody(body, suffix)
	case c.has("response_body_like"):
		c.like("response_body_like", "response_body_like - response is expected "+suffix, body, "s", true)
	case c.has("response_body_unlike"):
		c.like("response_body_unlike", "response_body_unlike - response is expected "+suffix, body, "s", false)
	}
}

func (c *Checker) exactBody(body, suffix string) {
	if c.has("response_body_json_sort") {
		body = sortJSON(body)
	}
	v, err := c.indexed("response_body")
	if err != nil {
		c.fail("response_body", err)
		return
	}
	if re, ok := v.(*pattern.Regexp); ok {
		c.assert("response_body - like "+suffix, re.Match(body), func() string {
			return fmt.Sprintf("%s\ndoes not match\n%s", quoteLong(body), re)
		})
		return
	}
	want, err := c.Expand(c.ports(perl.String(v)))
	if err != nil {
		c.fail("response_body", err)
		return
	}
	c.assert("response_body - response is expected "+suffix, body == want, func() string { return report.Diff(want, body) })
}

// sortJSON prints JSON with sorted keys; what is no JSON stays.
func sortJSON(body string) string {
	var v any
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return body
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return body
	}
	return b.String()
}

var errFilters = errors.New("response_body_filters: a list of lists needs one list for each request")

// filtered runs the block's response_body_filters.
func (c *Checker) filtered(body string) (string, error) {
	v, ok := c.Get("response_body_filters")
	if !ok {
		return body, nil
	}
	filters := perl.Elems(v)
	if s, ok := v.(string); ok {
		filters = nil
		for _, f := range strings.Fields(s) {
			filters = append(filters, f)
		}
	}
	if len(filters) > 0 && perl.RefName(filters[0]) == "ARRAY" {
		if c.Request >= len(filters) {
			return "", errFilters
		}
		filters = perl.Elems(filters[c.Request])
	}
	for _, f := range filters {
		var err error
		if code, ok := f.(*perl.Code); ok {
			body, err = c.Filter(code, body)
		} else {
			body, err = namedFilter(perl.String(f), body)
		}
		if err != nil {
			return "", err
		}
	}
	return body, nil
}

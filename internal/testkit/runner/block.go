package runner

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"moongate/internal/testkit/blocks"
	"moongate/internal/testkit/check"
	"moongate/internal/testkit/client"
	"moongate/internal/testkit/perl"
	"moongate/internal/testkit/poll"
	"moongate/internal/testkit/report"
)

// runBlock runs one block. shared tells that the next block has no configuration
// and goes on with this one's server.
func (f *fileRun) runBlock(b *blocks.Block, out *report.Block, shared bool) {
	t, err := f.newTest(b, out)
	defer t.releasePorts()
	f.current = t
	f.r.logf("%s: %s", f.src.Path, b.Name)
	if err != nil {
		t.fail("sections", err)
		return
	}
	t.aliases()
	t.unknownSections(f.r.opts.Strict)
	reason, err := t.skipReason()
	if err != nil {
		t.fail("skip sections", err)
		return
	}
	if reason != "" {
		out.Skip = reason
		return
	}
	if t.has("must_die") {
		t.mustDie()
		return
	}
	if err := t.start(); err != nil {
		var missing *missingDirective
		if errors.As(err, &missing) {
			out.Skip = err.Error()
			return
		}
		t.fail("server starts", err)
		return
	}
	if t.has("init") {
		if _, err := f.in.Eval(t.text("init"), f.src.Path, b.Line); err != nil {
			t.fail("init", err)
			return
		}
	}
	c := t.checker()
	f.log.Rewind()
	for c.Repeat = 0; c.Repeat < max(1, f.set.repeat); c.Repeat++ {
		if !t.once(c) {
			break
		}
	}
	f.last = &pending{check: func() { t.shutdownChecks(c) }}
	if !shared && !f.set.hup {
		f.stop()
	}
}

// aliases gives stream blocks the names that the checks look for.
func (t *test) aliases() {
	for from, to := range map[string]string{"stream_response": "response_body", "stream_response_like": "response_body_like"} {
		if v, ok := t.get(from); ok && !t.has(to) {
			t.values[to] = v
		}
	}
}

func (t *test) checker() *check.Checker {
	return &check.Checker{
		Get:    t.get,
		Expand: t.expand,
		Out:    t.add,
		Note:   t.note,
		Port:   t.f.port,
		Filter: func(code *perl.Code, body string) (string, error) {
			vals, err := t.f.call(code, body)
			if err != nil || len(vals) == 0 {
				return "", err
			}
			return perl.String(vals[len(vals)-1]), nil
		},
	}
}

func (t *test) shutdownChecks(c *check.Checker) {
	c.Repeat = 0
	if t.f.set.hup {
		c.Skip = "reload mode"
	}
	c.ShutdownLog(&t.f.log)
}

// once makes one repetition: mock servers, requests, checks. It returns false when
// further repetitions make no sense.
func (t *test) once(c *check.Checker) bool {
	mocks, err := t.startMocks()
	if err != nil {
		t.fail("mock server", err)
		return false
	}
	defer mocks.stop()
	if c.Repeat > 0 {
		if err := t.writeUserFiles(); err != nil {
			t.fail("user_files", err)
			return false
		}
	}
	ok := t.requests(c)
	mocks.check(t)
	t.checkStandins(c.Repeat)
	return ok
}

func (t *test) requests(c *check.Checker) bool {
	plan, err := t.plan()
	if err != nil {
		t.fail("request", err)
		return false
	}
	timeout, err := t.duration("timeout")
	if err != nil {
		t.fail("timeout", err)
		return false
	}
	if timeout == 0 {
		timeout = t.f.set.timeout
	}
	c.Many = plan.answers() > 1
	c.Request = 0
	for _, ex := range plan.exchanges {
		raw, ok := t.exchange(ex, timeout)
		if !ok {
			return false
		}
		for k := range ex.answers {
			if !t.has("ignore_response") {
				raw = t.respond(c, ex, raw, k == ex.answers-1)
			}
			t.logs(c)
			c.Request++
		}
	}
	return true
}

// respond parses one answer off raw, checks it, and returns the rest.
func (t *test) respond(c *check.Checker, ex exchange, raw string, last bool) (rest string) {
	var res *client.Response
	if ex.plain || t.has("http09") {
		res = client.ParseHTTP09(raw)
	} else {
		res = client.Parse(raw, ex.request.IsHead())
	}
	if res.Warning != "" && (last || res.Left == "") {
		t.note(res.Warning)
	}
	if res.Fault != "" {
		t.add(report.Assert{Name: "strict framing", Diag: res.Fault})
	}
	c.Response(res)
	for _, code := range t.f.set.bodyChecks {
		if _, err := t.f.call(code, t.object(), res.Body, c.Request, c.Repeat, nil); err != nil {
			t.fail("response body check", err)
		}
	}
	return res.Left
}

// logs makes the checks that follow an answer.
func (t *test) logs(c *check.Checker) {
	t.wait()
	c.ErrorLog(&t.f.log, t.f.set.accumulate, t.f.r.opts.Log)
	if !t.has("ignore_response") {
		c.AccessLog(t.f.root.AccessLog(), t.f.r.opts.Log)
	}
}

func (t *test) wait() {
	d, err := t.duration("wait")
	if err != nil {
		t.fail("wait", err)
		return
	}
	poll.Pause(d)
}

// exchange sends one request and returns the raw answer.
func (t *test) exchange(ex exchange, timeout time.Duration) (raw string, ok bool) {
	delay, err := t.duration("raw_request_middle_delay")
	if err != nil {
		t.fail("raw_request_middle_delay", err)
		return "", false
	}
	o := client.Options{TLS: ex.tls, HTTP2: t.has("http2"), Addr: ex.addr, Timeout: timeout, MiddleDelay: delay, Shutdown: t.shutdownMode()}
	res, err := client.Send(ex.request, o)
	if err != nil {
		t.fail("connect", err)
		return "", false
	}
	if res.TimedOut && !t.has("abort") {
		t.add(report.Assert{Name: "client socket timed out", Diag: fmt.Sprintf("nothing happened for %v\nreceived so far: %q", timeout, shorten(res.Raw))})
	}
	if res.Err != nil {
		t.f.r.logf("%s: %v", t.src.Name, res.Err)
	}
	return res.Raw, true
}

func shorten(s string) string {
	if len(s) > 500 {
		return s[:500] + "..."
	}
	return s
}

// shutdownMode translates the section's number, which is that of shutdown(2).
func (t *test) shutdownMode() int {
	if !t.has("shutdown") {
		return 0
	}
	switch strings.TrimSpace(t.text("shutdown")) {
	case "0":
		return 3
	case "2":
		return 2
	}
	return 1
}

// mustDie checks that the server refuses to start.
func (t *test) mustDie() {
	t.f.stop()
	c := t.checker()
	c.Note = func(string) {} // grave lines are what the block is about
	t.f.log.Rewind()
	for c.Repeat = 0; c.Repeat < max(1, t.f.set.repeat); c.Repeat++ {
		code, err := t.tryStart(c.Repeat == 0)
		if err != nil {
			t.fail("must_die", err)
			return
		}
		want := strings.TrimSpace(t.text("must_die"))
		if _, err := strconv.Atoi(want); err == nil {
			t.add(report.Assert{Name: "die with the expected exit code", OK: strconv.Itoa(code) == want,
				Diag: report.Diff(want, strconv.Itoa(code))})
		} else {
			t.add(report.Assert{Name: "die as expected", OK: code != 0, Diag: "the server started"})
		}
		c.ErrorLog(&t.f.log, t.f.set.accumulate, t.f.r.opts.Log)
		t.f.stop()
	}
}

package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
	"time"
)

// sendHTTP2 sends a request that was built for HTTP/1 over HTTP/2 (with TLS by ALPN, else with prior knowledge) and
// returns the response in the form of HTTP/1, for the checks: "HTTP/2 200", the fields sorted by name, a length.
func sendHTTP2(req Request, o Options) (Result, error) {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(req.Text())))
	if err != nil {
		return Result{}, fmt.Errorf("a request that HTTP/2 can carry: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.Timeout)
	defer cancel()
	r = r.WithContext(ctx)
	r.RequestURI, r.URL.Scheme, r.URL.Host = "", "http", o.Addr
	r.Header.Del("Connection")
	r.Close = false
	if r.Header.Get("User-Agent") == "" {
		r.Header["User-Agent"] = nil
	}
	tr := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols)}
	defer tr.CloseIdleConnections()
	if o.TLS != nil {
		r.URL.Scheme = "https"
		tr.TLSClientConfig = o.TLS.Clone()
		tr.Protocols.SetHTTP2(true)
	} else {
		tr.Protocols.SetUnencryptedHTTP2(true)
	}
	c, err := Dial(o.Addr, o.Timeout) // waits until something listens
	if err != nil {
		return Result{}, err
	}
	c.Close()
	begun := time.Now()
	res, err := tr.RoundTrip(r)
	if err != nil {
		return Result{Err: err, TimedOut: errors.Is(err, context.DeadlineExceeded) && time.Since(begun) >= o.Timeout}, nil
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return Result{Raw: http1Form(res, string(body), r.Method == "HEAD"), Err: err, TimedOut: errors.Is(err, context.DeadlineExceeded)}, nil
}

func http1Form(res *http.Response, body string, head bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/2 %d %s\r\n", res.StatusCode, http.StatusText(res.StatusCode))
	for _, fields := range []http.Header{res.Header, res.Trailer} {
		var names []string
		for name := range fields {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			for _, v := range fields[name] {
				b.WriteString(name + ": " + v + "\r\n")
			}
		}
	}
	if res.Header.Get("Content-Length") == "" && !head {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	return b.String() + "\r\n" + body
}

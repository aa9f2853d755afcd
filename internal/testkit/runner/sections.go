package runner

import (
	"fmt"
	"maps"
	"strings"

	"moongate/internal/conf"
	"moongate/internal/testkit/pattern"
	"moongate/internal/testkit/perl"
	"moongate/internal/testkit/report"
)

// known are the sections that mean something; strict runs refuse others, which
// are mostly misspelt.
var known = words(`
	ONLY SKIP LAST
	main_config http_config config server_config post_main_config server_name log_level error_log_file
	stream_config stream_server_config stream_server_config2 stream_server_config3
	stream_request stream_request2 stream_request3 stream_response stream_response_like
	user_files init post_setup_server_root
	request raw_request pipelined_requests more_headers raw_request_middle_delay server_addr_for_client
	listen client_certificate mock mock_requests
	timeout wait abort shutdown http09 http2 http3 no_http2 no_http3 curl curl_protocol curl_options curl_error
	error_code error_code_like response_headers response_headers_like raw_response_headers_like
	raw_response_headers_unlike response_body response_body_like response_body_unlike response_body_filters
	response_body_json_sort ignore_response ignore_response_body
	error_log no_error_log grep_error_log grep_error_log_out access_log no_access_log
	shutdown_error_log no_shutdown_error_log must_die reload_fails suppress_stderr
	tcp_listen tcp_reply tcp_reply_delay tcp_query tcp_query_len tcp_query_auto_timeout tcp_no_close tcp_shutdown
	tcp_shutdown_delay udp_listen udp_reply udp_reply_delay udp_query
	skip_eval skip_nginx skip_nginx2 skip_openssl skip_slave todo todo_nginx no_check_leak quic_max_idle_timeout no_mockeagain
`)

func words(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// unknownSections fails the block for names that mean nothing here. Unless strict it passes, as with test-nginx, and what
// looks like a slip of the pen is noted: nothing checks such a section.
func (t *test) unknownSections(strict bool) {
	for _, s := range t.src.Sections {
		if known[s.Name] || ignored(s.Name) {
			continue
		}
		text := fmt.Sprintf("%s:%d: unknown section %q", t.f.src.Path, s.Line-1, s.Name)
		meant := conf.Closest(s.Name, maps.Keys(known))
		if meant != "" {
			text += fmt.Sprintf(": did you mean %q?", meant)
		}
		switch {
		case strict:
			t.add(report.Assert{Name: "sections are known", Diag: text})
		case meant != "":
			t.out.Notes = append(t.out.Notes, text)
		}
	}
}

// object is the block as code in the prelude sees it.
func (t *test) object() *perl.Object { return &perl.Object{Class: "Test::Base::Block", Call: t.method} }

// defineAsserts gives code in the prelude the usual assertions; they count for
// the block that runs.
func (f *fileRun) defineAsserts() {
	assert := func(name string, judge func(got, want perl.Value) bool) {
		f.in.Define(name, func(_ *perl.Interp, args []perl.Value, _ bool) ([]perl.Value, error) {
			args = append(args, nil, nil, nil)
			ok := judge(args[0], args[1])
			if f.current != nil {
				a := report.Assert{Name: perl.String(args[2]), OK: ok}
				if !ok {
					a.Diag = report.Diff(perl.String(args[1]), perl.String(args[0]))
				}
				f.current.add(a)
			}
			return []perl.Value{perl.Bool(ok)}, nil
		})
	}
	same := func(got, want perl.Value) bool { return perl.String(got) == perl.String(want) }
	like := func(got, want perl.Value) bool {
		re, ok := want.(*pattern.Regexp)
		return ok && re.Match(perl.String(got))
	}
	assert("is", same)
	assert("isnt", func(got, want perl.Value) bool { return !same(got, want) })
	assert("like", like)
	assert("unlike", func(got, want perl.Value) bool { return !like(got, want) })
	assert("is_str", func(got, want perl.Value) bool { return same(got, want) || like(got, want) })
	one := func(name string, judge func(v perl.Value) bool) {
		f.in.Define(name, func(_ *perl.Interp, args []perl.Value, _ bool) ([]perl.Value, error) {
			args = append(args, nil, nil)
			label := args[1]
			if name != "ok" {
				label = args[0]
			}
			if f.current != nil {
				f.current.add(report.Assert{Name: perl.String(label), OK: judge(args[0])})
			}
			return nil, nil
		})
	}
	one("ok", perl.Truth)
	one("pass", func(perl.Value) bool { return true })
	one("fail", func(perl.Value) bool { return false })
}

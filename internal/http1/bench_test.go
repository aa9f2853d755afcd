package http1

import "testing"

const browserRequest = "GET /static/app/main.css?v=1.2.3 HTTP/1.1\r\n" +
	"Host: www.example.com\r\n" +
	"Connection: keep-alive\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Accept-Encoding: gzip, deflate, br\r\n" +
	"Accept-Language: en-US,en;q=0.9\r\n" +
	"Cache-Control: max-age=0\r\n" +
	"Upgrade-Insecure-Requests: 1\r\n" +
	"Referer: https://www.example.com/index.html\r\n" +
	"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n"

const smallRequest = "GET /hello HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: wrk\r\nAccept: */*\r\n\r\n"

func benchmarkRequest(b *testing.B, text string) {
	var p RequestParser
	buf := []byte(text)
	l := DefaultLimits
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	var scratch []byte
	for b.Loop() {
		p.Reset()
		if n, st := p.Parse(buf, &l); n != len(buf) || st != Done {
			b.Fatal(n, st)
		}
		if st := p.Check(&l); st != Done {
			b.Fatal(st)
		}
		if scratch, st := p.DecodeURI(scratch[:0], true); st != Done || scratch != nil {
			b.Fatal(st)
		}
	}
}

func BenchmarkBrowserRequest(b *testing.B) { benchmarkRequest(b, browserRequest) }
func BenchmarkSmallRequest(b *testing.B)   { benchmarkRequest(b, smallRequest) }

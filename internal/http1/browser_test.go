package http1

import "testing"

func TestDetectBrowser(t *testing.T) {
	for agent, want := range map[string]Browser{
		"": 0, "MSIE": 0, "MSIE 6.": 0,
		"Mozilla/4.0 (compatible; MSIE 5.5; Windows NT 5.0)":                   BrowserMSIE | BrowserMSIE6,
		"Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)":                   BrowserMSIE | BrowserMSIE6,
		"Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)":              BrowserMSIE,
		"Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 5.1)":                   BrowserMSIE,
		"Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.1)":                  BrowserMSIE,
		"Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1) Opera 8.0":         0,
		"Mozilla/5.0 (Macintosh; Mac OS X 10_15) Version/17.0 Safari/605.1.15": BrowserSafari,
		"Mozilla/5.0 (Macintosh; Mac OS X 10_15) Chrome/131.0 Safari/537.36":   0,
		"Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133": 0,
		"Mozilla/5.0 (iPhone) Version/17.0 Safari/605.1.15":                    0,
	} {
		if got := DetectBrowser([]byte(agent)); got != want {
			t.Errorf("%q: %b", agent, got)
		}
	}
}

package http1

import "bytes"

// Browser is a set of browsers that some directives treat in their own way
// (keepalive_disable, msie_padding, msie_refresh).
type Browser uint8

const (
	BrowserMSIE   Browser = 1 << iota // Internet Explorer
	BrowserMSIE6                      // up to 6.0 without the second service pack
	BrowserSafari                     // Safari on Mac OS X
)

// DetectBrowser looks at a User-Agent value, as nginx does with every request;
// here only those who need to know ask.
func DetectBrowser(agent []byte) (b Browser) {
	if bytes.Contains(agent, []byte("Opera")) { // which called itself MSIE, too
		return 0
	}
	if at := bytes.Index(agent, []byte("MSIE ")); at >= 0 && at+7 < len(agent) {
		b = BrowserMSIE
		if agent[at+6] == '.' {
			switch agent[at+5] {
			case '4', '5':
				b |= BrowserMSIE6
			case '6':
				if !bytes.Contains(agent[at+8:], []byte("SV1")) {
					b |= BrowserMSIE6
				}
			}
		}
		return b
	}
	if bytes.Contains(agent, []byte("Gecko/")) || bytes.Contains(agent, []byte("Chrome/")) {
		return 0
	}
	if bytes.Contains(agent, []byte("Safari/")) && bytes.Contains(agent, []byte("Mac OS X")) {
		return BrowserSafari
	}
	return 0
}

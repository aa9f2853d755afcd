package http2

// Places in the static table (RFC 7541 appendix A) of names, the first one where a name stands there several times.
const (
	PAuthority                = 1
	PMethod                   = 2
	PPath                     = 4
	PScheme                   = 6
	PStatus                   = 8
	SAcceptCharset            = 15
	SAcceptEncoding           = 16
	SAcceptLanguage           = 17
	SAcceptRanges             = 18
	SAccept                   = 19
	SAccessControlAllowOrigin = 20
	SAge                      = 21
	SAllow                    = 22
	SAuthorization            = 23
	SCacheControl             = 24
	SContentDisposition       = 25
	SContentEncoding          = 26
	SContentLanguage          = 27
	SContentLength            = 28
	SContentLocation          = 29
	SContentRange             = 30
	SContentType              = 31
	SCookie                   = 32
	SDate                     = 33
	SEtag                     = 34
	SExpect                   = 35
	SExpires                  = 36
	SFrom                     = 37
	SHost                     = 38
	SIfMatch                  = 39
	SIfModifiedSince          = 40
	SIfNoneMatch              = 41
	SIfRange                  = 42
	SIfUnmodifiedSince        = 43
	SLastModified             = 44
	SLink                     = 45
	SLocation                 = 46
	SMaxForwards              = 47
	SProxyAuthenticate        = 48
	SProxyAuthorization       = 49
	SRange                    = 50
	SReferer                  = 51
	SRefresh                  = 52
	SRetryAfter               = 53
	SServer                   = 54
	SSetCookie                = 55
	SStrictTransportSecurity  = 56
	STransferEncoding         = 57
	SUserAgent                = 58
	SVary                     = 59
	SVia                      = 60
	SWwwAuthenticate          = 61
	staticLen                 = 61
)

var staticTable = [staticLen + 1]Field{
	1:  static(":authority", "", 1),
	2:  static(":method", "GET", 2),
	3:  static(":method", "POST", 2),
	4:  static(":path", "/", 4),
	5:  static(":path", "/index.html", 4),
	6:  static(":scheme", "http", 6),
	7:  static(":scheme", "https", 6),
	8:  static(":status", "200", 8),
	9:  static(":status", "204", 8),
	10: static(":status", "206", 8),
	11: static(":status", "304", 8),
	12: static(":status", "400", 8),
	13: static(":status", "404", 8),
	14: static(":status", "500", 8),
	15: static("accept-charset", "", 15),
	16: static("accept-encoding", "gzip, deflate", 16),
	17: static("accept-language", "", 17),
	18: static("accept-ranges", "", 18),
	19: static("accept", "", 19),
	20: static("access-control-allow-origin", "", 20),
	21: static("age", "", 21),
	22: static("allow", "", 22),
	23: static("authorization", "", 23),
	24: static("cache-control", "", 24),
	25: static("content-disposition", "", 25),
	26: static("content-encoding", "", 26),
	27: static("content-language", "", 27),
	28: static("content-length", "", 28),
	29: static("content-location", "", 29),
	30: static("content-range", "", 30),
	31: static("content-type", "", 31),
	32: static("cookie", "", 32),
	33: static("date", "", 33),
	34: static("etag", "", 34),
	35: static("expect", "", 35),
	36: static("expires", "", 36),
	37: static("from", "", 37),
	38: static("host", "", 38),
	39: static("if-match", "", 39),
	40: static("if-modified-since", "", 40),
	41: static("if-none-match", "", 41),
	42: static("if-range", "", 42),
	43: static("if-unmodified-since", "", 43),
	44: static("last-modified", "", 44),
	45: static("link", "", 45),
	46: static("location", "", 46),
	47: static("max-forwards", "", 47),
	48: static("proxy-authenticate", "", 48),
	49: static("proxy-authorization", "", 49),
	50: static("range", "", 50),
	51: static("referer", "", 51),
	52: static("refresh", "", 52),
	53: static("retry-after", "", 53),
	54: static("server", "", 54),
	55: static("set-cookie", "", 55),
	56: static("strict-transport-security", "", 56),
	57: static("transfer-encoding", "", 57),
	58: static("user-agent", "", 58),
	59: static("vary", "", 59),
	60: static("via", "", 60),
	61: static("www-authenticate", "", 61),
}

func static(name, value string, first uint8) Field {
	return Field{Name: []byte(name), Value: []byte(value), Static: first}
}

// StaticName is the name at a place of the static table.
func StaticName(i uint8) []byte { return staticTable[i].Name }

// staticMatch is the place of an entry with the name at place first and that value, 0 when there is none.
func staticMatch(first uint8, value []byte) uint8 {
	switch first {
	case PMethod, PPath, PScheme, PStatus, SAcceptEncoding:
		for i := first; i <= staticLen && staticTable[i].Static == first; i++ {
			if string(staticTable[i].Value) == string(value) {
				return i
			}
		}
	default:
		if len(value) == 0 {
			return first
		}
	}
	return 0
}

// staticNames finds the places of names; names of one length share a few slots.
var staticNames = func() (t [32][]uint8) {
	for i := staticLen; i > 0; i-- {
		if f := &staticTable[i]; f.Static == uint8(i) {
			t[len(f.Name)] = append(t[len(f.Name)], uint8(i))
		}
	}
	return t
}()

// staticPlace is the first place of a name, in lower case, or 0.
func staticPlace(name []byte) uint8 {
	if len(name) >= len(staticNames) {
		return 0
	}
	for _, i := range staticNames[len(name)] {
		if n := staticTable[i].Name; n[0] == name[0] && string(n) == string(name) {
			return i
		}
	}
	return 0
}

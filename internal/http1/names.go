package http1

import (
	"encoding/binary"
	"math/bits"
)

// HeaderID is a small number for a header name known to the server; 0 stands
// for every other name. The numbers may change between versions: they live in
// memory only.
type HeaderID uint8

// The known header names.
const (
	HUnknown HeaderID = iota

	// Request headers nginx keeps a slot for, in its order.
	HHost
	HConnection
	HProxyConnection
	HIfModifiedSince
	HIfUnmodifiedSince
	HIfMatch
	HIfNoneMatch
	HUserAgent
	HReferer
	HContentLength
	HContentRange
	HContentType
	HRange
	HIfRange
	HTransferEncoding
	HTE
	HExpect
	HUpgrade
	HAcceptEncoding
	HVia
	HAuthorization
	HProxyAuthorization
	HKeepAlive
	HXForwardedFor
	HXRealIP
	HAccept
	HAcceptLanguage
	HDepth
	HDestination
	HOverwrite
	HDate
	HCookie

	// Response headers nginx keeps a slot for.
	HServer
	HContentEncoding
	HLocation
	HLastModified
	HAcceptRanges
	HExpires
	HCacheControl
	HETag
	HSetCookie
	HWWWAuthenticate
	HProxyAuthenticate
	HVary

	// The rest: names often looked up, so that a comparison costs one byte.
	HTrailer
	HRefresh
	HPragma
	HAge
	HAllow
	HLink
	HStatus
	HRetryAfter
	HContentLanguage
	HContentDisposition
	HContentLocation
	HContentMD5
	HXAccelRedirect
	HXAccelExpires
	HXAccelLimitRate
	HXAccelBuffering
	HXAccelCharset
	HXForwardedProto
	HXForwardedHost
	HXForwardedPort
	HXForwardedPrefix
	HXRequestID
	HXCorrelationID
	HXRequestedWith
	HXHTTPMethodOverride
	HXPoweredBy
	HForwarded
	HOrigin
	HAcceptCharset
	HMaxForwards
	HFrom
	HDNT
	HUpgradeInsecureRequests
	HSecFetchSite
	HSecFetchMode
	HSecFetchUser
	HSecFetchDest
	HSecCHUA
	HSecCHUAMobile
	HSecCHUAPlatform
	HSecGPC
	HSecWebSocketKey
	HSecWebSocketAccept
	HSecWebSocketVersion
	HSecWebSocketProtocol
	HSecWebSocketExtensions
	HHTTP2Settings
	HEarlyData
	HPriority
	HAltSvc
	HTraceparent
	HTracestate
	HGrpcTimeout
	HGrpcEncoding
	HGrpcAcceptEncoding
	HGrpcStatus
	HGrpcMessage
	HAccessControlAllowOrigin
	HAccessControlAllowMethods
	HAccessControlAllowHeaders
	HAccessControlAllowCredentials
	HAccessControlExposeHeaders
	HAccessControlMaxAge
	HAccessControlRequestMethod
	HAccessControlRequestHeaders
	HStrictTransportSecurity
	HContentSecurityPolicy
	HXContentTypeOptions
	HXFrameOptions
	HXXSSProtection
	HReferrerPolicy
	HPermissionsPolicy
	HXCache
	HXAPIKey
	HXCSRFToken

	numHeaders
)

// headerNames holds the names as they are usually written.
var headerNames = [numHeaders]string{
	HHost:                          "Host",
	HConnection:                    "Connection",
	HProxyConnection:               "Proxy-Connection",
	HIfModifiedSince:               "If-Modified-Since",
	HIfUnmodifiedSince:             "If-Unmodified-Since",
	HIfMatch:                       "If-Match",
	HIfNoneMatch:                   "If-None-Match",
	HUserAgent:                     "User-Agent",
	HReferer:                       "Referer",
	HContentLength:                 "Content-Length",
	HContentRange:                  "Content-Range",
	HContentType:                   "Content-Type",
	HRange:                         "Range",
	HIfRange:                       "If-Range",
	HTransferEncoding:              "Transfer-Encoding",
	HTE:                            "TE",
	HExpect:                        "Expect",
	HUpgrade:                       "Upgrade",
	HAcceptEncoding:                "Accept-Encoding",
	HVia:                           "Via",
	HAuthorization:                 "Authorization",
	HProxyAuthorization:            "Proxy-Authorization",
	HKeepAlive:                     "Keep-Alive",
	HXForwardedFor:                 "X-Forwarded-For",
	HXRealIP:                       "X-Real-IP",
	HAccept:                        "Accept",
	HAcceptLanguage:                "Accept-Language",
	HDepth:                         "Depth",
	HDestination:                   "Destination",
	HOverwrite:                     "Overwrite",
	HDate:                          "Date",
	HCookie:                        "Cookie",
	HServer:                        "Server",
	HContentEncoding:               "Content-Encoding",
	HLocation:                      "Location",
	HLastModified:                  "Last-Modified",
	HAcceptRanges:                  "Accept-Ranges",
	HExpires:                       "Expires",
	HCacheControl:                  "Cache-Control",
	HETag:                          "ETag",
	HSetCookie:                     "Set-Cookie",
	HWWWAuthenticate:               "WWW-Authenticate",
	HProxyAuthenticate:             "Proxy-Authenticate",
	HVary:                          "Vary",
	HTrailer:                       "Trailer",
	HRefresh:                       "Refresh",
	HPragma:                        "Pragma",
	HAge:                           "Age",
	HAllow:                         "Allow",
	HLink:                          "Link",
	HStatus:                        "Status",
	HRetryAfter:                    "Retry-After",
	HContentLanguage:               "Content-Language",
	HContentDisposition:            "Content-Disposition",
	HContentLocation:               "Content-Location",
	HContentMD5:                    "Content-MD5",
	HXAccelRedirect:                "X-Accel-Redirect",
	HXAccelExpires:                 "X-Accel-Expires",
	HXAccelLimitRate:               "X-Accel-Limit-Rate",
	HXAccelBuffering:               "X-Accel-Buffering",
	HXAccelCharset:                 "X-Accel-Charset",
	HXForwardedProto:               "X-Forwarded-Proto",
	HXForwardedHost:                "X-Forwarded-Host",
	HXForwardedPort:                "X-Forwarded-Port",
	HXForwardedPrefix:              "X-Forwarded-Prefix",
	HXRequestID:                    "X-Request-ID",
	HXCorrelationID:                "X-Correlation-ID",
	HXRequestedWith:                "X-Requested-With",
	HXHTTPMethodOverride:           "X-HTTP-Method-Override",
	HXPoweredBy:                    "X-Powered-By",
	HForwarded:                     "Forwarded",
	HOrigin:                        "Origin",
	HAcceptCharset:                 "Accept-Charset",
	HMaxForwards:                   "Max-Forwards",
	HFrom:                          "From",
	HDNT:                           "DNT",
	HUpgradeInsecureRequests:       "Upgrade-Insecure-Requests",
	HSecFetchSite:                  "Sec-Fetch-Site",
	HSecFetchMode:                  "Sec-Fetch-Mode",
	HSecFetchUser:                  "Sec-Fetch-User",
	HSecFetchDest:                  "Sec-Fetch-Dest",
	HSecCHUA:                       "Sec-CH-UA",
	HSecCHUAMobile:                 "Sec-CH-UA-Mobile",
	HSecCHUAPlatform:               "Sec-CH-UA-Platform",
	HSecGPC:                        "Sec-GPC",
	HSecWebSocketKey:               "Sec-WebSocket-Key",
	HSecWebSocketAccept:            "Sec-WebSocket-Accept",
	HSecWebSocketVersion:           "Sec-WebSocket-Version",
	HSecWebSocketProtocol:          "Sec-WebSocket-Protocol",
	HSecWebSocketExtensions:        "Sec-WebSocket-Extensions",
	HHTTP2Settings:                 "HTTP2-Settings",
	HEarlyData:                     "Early-Data",
	HPriority:                      "Priority",
	HAltSvc:                        "Alt-Svc",
	HTraceparent:                   "Traceparent",
	HTracestate:                    "Tracestate",
	HGrpcTimeout:                   "Grpc-Timeout",
	HGrpcEncoding:                  "Grpc-Encoding",
	HGrpcAcceptEncoding:            "Grpc-Accept-Encoding",
	HGrpcStatus:                    "Grpc-Status",
	HGrpcMessage:                   "Grpc-Message",
	HAccessControlAllowOrigin:      "Access-Control-Allow-Origin",
	HAccessControlAllowMethods:     "Access-Control-Allow-Methods",
	HAccessControlAllowHeaders:     "Access-Control-Allow-Headers",
	HAccessControlAllowCredentials: "Access-Control-Allow-Credentials",
	HAccessControlExposeHeaders:    "Access-Control-Expose-Headers",
	HAccessControlMaxAge:           "Access-Control-Max-Age",
	HAccessControlRequestMethod:    "Access-Control-Request-Method",
	HAccessControlRequestHeaders:   "Access-Control-Request-Headers",
	HStrictTransportSecurity:       "Strict-Transport-Security",
	HContentSecurityPolicy:         "Content-Security-Policy",
	HXContentTypeOptions:           "X-Content-Type-Options",
	HXFrameOptions:                 "X-Frame-Options",
	HXXSSProtection:                "X-XSS-Protection",
	HReferrerPolicy:                "Referrer-Policy",
	HPermissionsPolicy:             "Permissions-Policy",
	HXCache:                        "X-Cache",
	HXAPIKey:                       "X-API-Key",
	HXCSRFToken:                    "X-CSRF-Token",
}

// String returns the usual spelling, or "" for an unknown name.
func (id HeaderID) String() string {
	if id < numHeaders {
		return headerNames[id]
	}
	return ""
}

// caseBits turns a word of ASCII letters into lower case; digits and '-' have
// the bit already.
const caseBits = 0x2020202020202020

// nameEntry holds a known name as the words lookup compares: the first eight
// bytes, the last eight (they overlap below sixteen) and those between.
type nameEntry struct {
	first, last, mid1, mid2 uint64
	size                    uint8
}

var nameEntries, nameIndex = indexNames()

// nameFactor was searched for: with it the names above fall into different
// slots. A new name that collides makes TestHeaderTable fail, which prints a
// factor that fits.
const nameFactor = 0xc7e54c1c713a418d

const nameSlotBits = 10

func nameSlot(first, last uint64, size int) uint64 {
	return (first + uint64(size) + bits.RotateLeft64(last, 29)) * nameFactor >> (64 - nameSlotBits)
}

func indexNames() (entries [numHeaders]nameEntry, index [1 << nameSlotBits]HeaderID) {
	for id := HUnknown + 1; id < numHeaders; id++ {
		name := []byte(headerNames[id])
		first, last, _ := nameWords(name)
		e := nameEntry{first: first, last: last, size: uint8(len(name))}
		if len(name) > 16 {
			e.mid1 = binary.LittleEndian.Uint64(name[8:]) | caseBits
		}
		if len(name) > 24 {
			e.mid2 = binary.LittleEndian.Uint64(name[16:]) | caseBits
		}
		entries[id] = e
		index[nameSlot(first, last, len(name))] = id
	}
	return entries, index
}

// proper reports whether every byte of w, taken before folding, is one that
// caseBits folds to itself or from upper to lower case; without it a control
// byte would pass for '-' or a digit.
func proper(w uint64) bool { return (w|w>>1)&caseBits == caseBits }

// nameWords loads the folded first and last eight bytes of a name of at least
// one byte; shorter names fill the words in a way that names of different
// lengths keep apart by size.
func nameWords(name []byte) (first, last uint64, ok bool) {
	n := len(name)
	switch {
	case n >= 8:
		first = binary.LittleEndian.Uint64(name)
		last = binary.LittleEndian.Uint64(name[n-8:])
		return first | caseBits, last | caseBits, proper(first) && proper(last)
	case n >= 4:
		first = uint64(binary.LittleEndian.Uint32(name)) | uint64(binary.LittleEndian.Uint32(name[n-4:]))<<32
	default:
		first = uint64(name[0]) | uint64(name[n/2])<<8 | uint64(name[n-1])<<16 | caseBits&^0xffffff
	}
	return first | caseBits, first | caseBits, proper(first)
}

// LookupHeader finds the number of a header name without regard to case.
func LookupHeader(name []byte) HeaderID {
	n := len(name)
	if n-2 > 30 || n < 2 {
		return HUnknown
	}
	first, last, ok := nameWords(name)
	id := nameIndex[nameSlot(first, last, n)]
	e := &nameEntries[id]
	if !ok || e.first != first || e.last != last || int(e.size) != n {
		return HUnknown
	}
	if n > 16 && !sameMiddle(e, name) {
		return HUnknown
	}
	return id
}

func sameMiddle(e *nameEntry, name []byte) bool {
	w := binary.LittleEndian.Uint64(name[8:])
	if w|caseBits != e.mid1 || !proper(w) {
		return false
	}
	if len(name) <= 24 {
		return true
	}
	w = binary.LittleEndian.Uint64(name[16:])
	return w|caseBits == e.mid2 && proper(w)
}

package http1

// Method is a bit per request method, as nginx numbers them, so that sets of
// methods are masks.
type Method uint32

const (
	MethodUnknown Method = 1 << iota
	MethodGet
	MethodHead
	MethodPost
	MethodPut
	MethodDelete
	MethodMkcol
	MethodCopy
	MethodMove
	MethodOptions
	MethodPropfind
	MethodProppatch
	MethodLock
	MethodUnlock
	MethodPatch
	MethodTrace
	MethodConnect
)

// LookupMethod returns the number of a method name; methods are case-sensitive.
func LookupMethod(name []byte) Method {
	switch string(name) {
	case "GET":
		return MethodGet
	case "HEAD":
		return MethodHead
	case "POST":
		return MethodPost
	case "PUT":
		return MethodPut
	case "DELETE":
		return MethodDelete
	case "MKCOL":
		return MethodMkcol
	case "COPY":
		return MethodCopy
	case "MOVE":
		return MethodMove
	case "OPTIONS":
		return MethodOptions
	case "PROPFIND":
		return MethodPropfind
	case "PROPPATCH":
		return MethodProppatch
	case "LOCK":
		return MethodLock
	case "UNLOCK":
		return MethodUnlock
	case "PATCH":
		return MethodPatch
	case "TRACE":
		return MethodTrace
	case "CONNECT":
		return MethodConnect
	}
	return MethodUnknown
}

// methodNames are in the order of the bits above.
var methodNames = [...]string{
	"", "GET", "HEAD", "POST", "PUT", "DELETE", "MKCOL", "COPY", "MOVE", "OPTIONS",
	"PROPFIND", "PROPPATCH", "LOCK", "UNLOCK", "PATCH", "TRACE", "CONNECT",
}

// String returns the method's name, "" for an unknown one or a set.
func (m Method) String() string {
	for i, name := range methodNames {
		if m == 1<<i {
			return name
		}
	}
	return ""
}

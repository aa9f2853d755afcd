package luahost

import "moongate/internal/engine"

// SetRequestHeader sets a header of the request, with its effects on what was made of it; an empty value deletes it.
// Without replace it is added. name and value are copied. False: the value is not one the header can have.
func SetRequestHeader(r *engine.Request, name, value []byte, replace bool) bool {
	if r.Out.Status == 400 {
		return true // the head may be half read
	}
	return r.SetHeaderIn(CopyHeaderName(r, name), CopyHeaderValue(r, value), replace)
}

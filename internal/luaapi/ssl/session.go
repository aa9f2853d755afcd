package ssl

import (
	"encoding/hex"

	"moongate/internal/lua"
)

const session = prefix + "session."

// maxSession is the most that is given out or taken.
const maxSession = 4096

var sessionFuncs = []*lua.Func{
	{Name: session + "get_session_id", Sig: "-> id, err", Doc: "The number of the session in question, in hexadecimal digits.", Run: with(1, func(c *lua.Call, v view) lua.Outcome {
		switch {
		case v.shake == nil:
			return c.ReturnNilErr("bad lua context")
		case len(v.shake.SessionID) == 0:
			return c.ReturnNilErr("uninitialized session id len in lua context")
		}
		return c.ReturnString(hex.EncodeToString(v.shake.SessionID))
	})},
	{Name: session + "get_serialized_session", Sig: "-> bytes, err", Doc: "The new session as bytes, to be kept.", Run: with(1, func(c *lua.Call, v view) lua.Outcome {
		switch {
		case v.shake == nil:
			return c.ReturnNilErr("bad lua context")
		case v.shake.Session == nil:
			return c.ReturnNilErr("bad session in lua context")
		case len(v.shake.Session) > maxSession:
			return c.ReturnNilErr("session too big to serialize")
		}
		return c.ReturnStr(v.shake.Session)
	})},
	{Name: session + "set_serialized_session", Sig: "bytes:string -> ok, err", Doc: "The session that the client asks for, as get_serialized_session has given it.", Run: with(1, func(c *lua.Call, v view) lua.Outcome {
		switch b := c.Str(1); {
		case v.shake == nil:
			return c.ReturnNilErr("bad lua context")
		case len(b) == 0 || len(b) > maxSession:
			return c.ReturnNilErr("invalid session length")
		case !readable(b):
			return c.ReturnNilErr("failed to de-serialize session")
		}
		v.shake.Session = append([]byte{}, c.Str(1)...)
		return c.ReturnBool(true)
	})},
}

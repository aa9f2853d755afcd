package grpcclient

import (
	"moongate/internal/grpc"
	"moongate/internal/grpc/tally"
)

// count adds the call, which has ended, to the counters of its worker; each try of a call counts.
func (st *stream) count() {
	if st.me.alone {
		return
	}
	to := ""
	if st.ch.group != nil { // else there may be any number of targets
		to = st.ch.group.Name
	}
	code := st.status.Code
	known := code != grpc.Unimplemented && code != grpc.Unauthenticated && code != grpc.PermissionDenied && code != grpc.Unavailable
	tally.Add(st.me.w, tally.Client, to, []byte(st.x.path), "", known, &tally.Call{Code: code, Received: st.received, Sent: st.sent, Time: st.loop.Now() - st.begun})
}

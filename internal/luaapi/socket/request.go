package socket

import (
	"errors"

	"moongate/internal/lua"
)

var reqFuncs []*lua.Func

var errClientAbort = errors.New("client aborted")

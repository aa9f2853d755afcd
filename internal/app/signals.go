package app

import (
	"os"
	"os/signal"
	"syscall"

	"moongate/internal/base/nlog"
)

// signals receives the signals nginx acts on.
var signals = make(chan os.Signal, 64)

// watchSignals starts delivery to signals. Before it, they end the process.
func watchSignals() {
	// Caught, for the write to fail, rather than ignored: programs we start would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGSYS)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH,
		syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGINT)
}

var signalNames = map[os.Signal]string{
	syscall.SIGHUP: "SIGHUP", syscall.SIGUSR1: "SIGUSR1", syscall.SIGUSR2: "SIGUSR2", syscall.SIGWINCH: "SIGWINCH",
	syscall.SIGTERM: "SIGTERM", syscall.SIGQUIT: "SIGQUIT", syscall.SIGINT: "SIGINT",
}

// logSignal logs what a signal makes the process do, as nginx does but for the
// sender, whom the runtime does not tell.
func (p *process) logSignal(sig os.Signal, action string) {
	if action != "" {
		action = ", " + action
	}
	p.log.Logf(nlog.Notice, nil, nil, "signal %d (%s) received%s", int(sig.(syscall.Signal)), signalNames[sig], action)
}

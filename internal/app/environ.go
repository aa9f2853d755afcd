package app

import (
	"os"
	"slices"
	"strings"
	"time"
)

// workerEnviron is what the env directives leave of the environment: the named
// variables and TZ.
func workerEnviron(environ, directives []string) []string {
	names := directives
	if !slices.ContainsFunc(names, func(d string) bool { return d == "TZ" || strings.HasPrefix(d, "TZ=") }) {
		names = append(slices.Clip(names), "TZ")
	}
	var env []string
	for _, d := range names {
		if strings.Contains(d, "=") {
			env = append(env, d)
			continue
		}
		for _, have := range environ {
			if name, _, _ := strings.Cut(have, "="); name == d {
				env = append(env, have)
				break
			}
		}
	}
	return env
}

// setEnviron makes env the environment of this process, also for C code.
func setEnviron(env []string) {
	zone := os.Getenv("TZ")
	os.Clearenv()
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		os.Setenv(name, value)
	}
	if tz := os.Getenv("TZ"); tz != zone && tz != "" {
		if loc, err := time.LoadLocation(strings.TrimPrefix(tz, ":")); err == nil {
			time.Local = loc
		}
	}
}

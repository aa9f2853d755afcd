package socket

type clientCert struct{}

type tlsWire struct{}

module moongate

go 1.26.0

require (
	github.com/bufbuild/protocompile v0.14.1
	github.com/klauspost/compress v1.20.3
	golang.org/x/crypto v0.58.0
	google.golang.org/protobuf v1.36.12
)

require golang.org/x/sync v0.23.0 // indirect

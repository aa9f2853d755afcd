module moongate

go 1.26.0

require github.com/klauspost/compress v1.20.3

require golang.org/x/crypto v0.58.0

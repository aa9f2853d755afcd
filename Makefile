# `make` lists the targets. Everything goes through build/env.sh, which points cgo at the LuaJIT of build/luajit.

PREFIX   ?= /usr/local
PORT     ?=
FUZZTIME ?= 3s
SITE     ?=

GO := . build/env.sh && go

.DEFAULT_GOAL := help
.PHONY: help deps build run test vet policy race fuzz blocks lint bench coverage-report reference clean install

help: ## List the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 24

deps: ## Install missing packages (apt) and build LuaJIT into .cache
	@build/deps
	@build/luajit

build: deps ## Build bin/moongate
	$(GO) build -buildvcs=false -o bin/moongate ./cmd/moongate
	@cp bin/moongate bin/.moongate && mv bin/.moongate bin/moongate # the kernel keeps what a linker writes in pieces of 2 MiB, and maps them whole

run: build ## Serve a built-in site until Ctrl-C, on PORT (8080 or the next free one), or the folder SITE
	@bin/moongate run $(if $(wildcard $(or $(SITE),none)/conf/nginx.conf),,$(if $(PORT),-l 127.0.0.1:$(PORT))) $(SITE)

test: build ## Everything below that can fail: vet, lint, tests, race, fuzz smoke, block tests
	@build/testdeps
	@build/test

vet: deps ## go vet
	$(GO) vet ./...

policy: ## The project's rules about its own tree
	$(GO) test -count=1 ./internal/policy

race: deps ## Tests of the packages without C, with the race detector
	@build/test race

fuzz: deps ## Each fuzz target for FUZZTIME (3s)
	@FUZZTIME=$(FUZZTIME) build/test fuzz

blocks: build ## Block tests: bin/moongate test t/
	@build/test blocks

lint: deps ## staticcheck, the pinned version
	@build/test lint

bench: build ## CPU per request, beside nginx with its Lua module when that is installed
	bench/compare --ours bin/moongate

coverage-report: build ## Compare what the binary knows with INVENTORY, a directory of tables
	conformance/coverage --binary bin/moongate --inventory "$(INVENTORY)"

reference: deps ## Write docs/reference from the declarations
	$(GO) run ./internal/cli/reference

clean: ## Remove bin; .cache stays (rm -rf .cache builds LuaJIT again)
	rm -rf bin coverage.out

install: build ## Copy the binary to PREFIX/bin (/usr/local)
	install -D -m 755 bin/moongate $(DESTDIR)$(PREFIX)/bin/moongate

# MPAC. `make` or `make help` says what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/mpac-cloud/mpac/platform/service.Version=$(VERSION)
GOBUILD := CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)'
TOOLS   := $(CURDIR)/.tools
FUZZTIME ?= 20s

# Binary and the package it is built from.
BINARIES := mpac=./cmd/mpac svc-portal=./smartpos/svc-portal svc-smarttab=./smartpos/svc-smarttab \
            edge=./smartpos/gateway/edge pgw-backend=./pgw/pgw-backend matcher=./pgw/matcher sandbox=./sandbox

.PHONY: help
help: ## Say what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk 'BEGIN {FS = ":.*## "}; {printf "  \033[1mmake %-12s\033[0m %s\n", $$1, $$2}'

.PHONY: deps
deps: ## Make sure of PostgreSQL, Redis, jq, curl and openssl (installs them on Debian as root, else says how)
	@./tools/deps.sh

.PHONY: build
build: ## Build every binary into bin/
	@mkdir -p bin
	@for b in $(BINARIES); do echo "building bin/$${b%%=*}"; $(GOBUILD) -o bin/$${b%%=*} $${b#*=} || exit 1; done

.PHONY: up
up: deps build ## Run the whole platform on this machine (Ctrl-C stops it)
	@bin/mpac up

.PHONY: test
test: deps build ## Run every test that needs no cloud, with real PostgreSQL, Redis and processes
	@# The feed's test holds one transaction open for half a minute, as the promise says; others go on beside it. Vetting is
	@# the linter's part.
	MPAC_TEST_OPEN_TRANSACTION=30s go test -count=1 -vet=off ./...

.PHONY: fuzz
fuzz: ## Fuzz everything that parses, FUZZTIME each (default 20s)
	@./tools/fuzz.sh $(FUZZTIME)

.PHONY: lint
lint: $(TOOLS)/golangci-lint ## Run the linters
	$(TOOLS)/golangci-lint run ./...

.PHONY: infra-lint
infra-lint: ## Hold the CloudFormation templates against AWS's schemas (a clear notice where cfn-lint is missing)
	@./tools/cfnlint.sh

.PHONY: vuln
vuln: ## Look for known vulnerabilities (a clear notice where the database cannot be reached)
	@./tools/vuln.sh

.PHONY: gen
gen: $(TOOLS)/sqlc ## Generate the code that is generated
	$(TOOLS)/sqlc generate
	go generate ./...

.PHONY: gen-check
gen-check: ## Fail when generated code differs from what is committed (of a clean checkout)
	@$(MAKE) --no-print-directory gen
	@test -z "$$(git status --porcelain)" || { git status --short; git diff --stat; echo "generated code has drifted: run 'make gen' and commit"; exit 1; }

.PHONY: obs
obs: ## Build the observability stack from source, once (minutes); `mpac up` then runs it
	@./tools/obs.sh

.PHONY: verify-obs
verify-obs: deps build obs ## Run the platform under traffic with the real stack and every query of every panel and rule
	@# First what its own programs say of our files, then the live stack.
	MPAC_VERIFY_OBS=1 go test -count=1 ./obs
	MPAC_VERIFY_OBS=1 go test -count=1 -timeout 25m -v -run TestVerify ./e2e/obs

.PHONY: drills
drills: deps build obs ## Inject each alert's fault, follow its runbook, see the platform well again (MPAC_DRILLS=Name,Name: some)
	MPAC_DRILLS=$${MPAC_DRILLS:-all} go test -count=1 -timeout 100m -v -run TestDrills ./e2e/drills

.PHONY: obs-preview
obs-preview: deps build obs ## Draw every dashboard with live figures into obs-preview/ (pages and screenshots, in Chromium)
	MPAC_OBS_PREVIEW=$(CURDIR)/obs-preview go test -count=1 -timeout 25m -v -run TestPreview ./e2e/obs

.PHONY: fmt
fmt: $(TOOLS)/golangci-lint ## Format the code
	$(TOOLS)/golangci-lint fmt ./...

.PHONY: bench
bench: deps ## Run the benchmarks, each beside its floor
	go test -run '^$$' -bench . -benchtime 3s ./pgw/... ./smartpos/... | grep -v '^?\|no test files'

.PHONY: bench-obs
bench-obs: deps build ## Measure what telemetry costs: the gateway's create with and without, in turns
	go test -run '^$$' -bench TelemetryCost -benchtime 1x -timeout 20m ./e2e/bench

.PHONY: ci
ci: ## What the pull request runs
	bash .ci/run

.PHONY: clean
clean: ## Remove what was built (never a platform's data)
	rm -rf bin .tools

$(TOOLS)/%: tools/go.mod tools/go.sum
	@mkdir -p $(TOOLS)
	@echo "building $* (the first time takes minutes)"
	cd tools && CGO_ENABLED=0 go build -o $@ $$(go list -f '{{.ImportPath}}' tool | grep '/$*$$')

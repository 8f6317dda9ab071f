# Pinned so that every machine and CI checks with the same tools.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.1

# What is left out of the race detector computes alone and long: internal/pdq
# has no goroutine, and runtime/scenes is called by many of cmd/irgdata. WITHOUT
# leaves out more, such as "-e /export".
.PHONY: build test lint race check bench crash

build: ## the irgdata binary in ./bin
	go build -o bin/ ./cmd/...

test: ## every test
	go test -timeout 20m ./...

lint: ## format, vet, staticcheck, module tidiness
	@test -z "$$(gofmt -l .)" || { echo "gofmt these files:"; gofmt -l .; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	go mod tidy -diff

race: ## the tests under the race detector, the long ones in their short form
	go test -race -short -timeout 20m $$(go list ./... | grep -v -e /runtime/scenes -e /internal/pdq $(WITHOUT))

check: lint test race ## what must be green before a piece of work ends

bench: ## every benchmark
	go test -run '^$$' -bench . ./...

ROUNDS := 100
crash: ## the crash harness in its long form: each disturbance ROUNDS times
	IRGDATA_CRASH_ROUNDS=$(ROUNDS) go test -count=1 -timeout 0 ./cmd/irgdata -run TestCrash

# Pinned so that every machine and CI checks with the same tools.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.1

.PHONY: build test check bench

build: ## the irgdata binary in ./bin
	go build -o bin/ ./cmd/...

test: ## every test
	go test ./...

check: ## what must be green before a piece of work ends
	@test -z "$$(gofmt -l .)" || { echo "gofmt these files:"; gofmt -l .; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	go test -race ./...
	go mod tidy -diff

bench: ## every benchmark
	go test -run '^$$' -bench . ./...

// Package manifests keeps what a dataset rests on: the ledger of model calls,
// so that none is paid for twice, and the snapshots, each published whole or
// not at all.
package manifests

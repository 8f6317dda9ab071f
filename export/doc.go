// Package export writes what people keep and what trainers read: the Parquet
// shards of a snapshot ([WriteShards]), from a snapshot the six mode folders of
// the official IRG training code ([WriteIRG]), and other formats ([Write]), of
// all examples or of a [Selection].
package export

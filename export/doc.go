// Package export writes what people keep and what trainers read: the Parquet
// shards of a snapshot ([WriteShards]), and from a snapshot the six mode
// folders of the official IRG training code ([WriteIRG]).
package export

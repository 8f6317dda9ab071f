// Package irgdata holds the vocabulary that every stage of the pipeline
// shares: pairs go in, trajectories are built from them, and what is left
// out becomes a reject. It imports the standard library alone and does no
// I/O.
//
// The way of a pair:
//
//	sources ─ingest→ Pair ─annotate→ Trajectory ─filter→ verdict per mode ─manifests→ snapshot ─export→ six mode folders
//
// The dataset is IRGL-300K of "Interleaving Reasoning for Better
// Text-to-Image Generation" (arXiv 2509.06945).
package irgdata

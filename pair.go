package irgdata

// Pair is a prompt and the image that answers it, as a source gave them.
type Pair struct {
	// ID is [PairID] of the prompt and the image.
	ID     Digest
	Prompt string
	Image  ImageRef
	// Source is the name of the configured source the pair came from, and Key
	// its place there (a file's path in the folder, file and row of a Parquet
	// source). Together they say where a person finds the pair.
	Source string
	Key    string
	// License and URL are what the source said of the image, if anything.
	License string
	URL     string
}

// PairID returns the identity of a pair: the digest of its prompt and of its
// image's bytes. Where a pair lies does not matter to it.
func PairID(prompt string, image Digest) Digest {
	return NewDigester("pair/1").Text(prompt).Digest(image).Sum()
}

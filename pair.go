package irgdata

// Pair is a prompt and the image that answers it, as a source gave them. A pair
// of a list of prompts has no image: the painter makes its reference.
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
	// Language is the prompt's, as an ISO 639-1 code, or "und" if it cannot be
	// told.
	Language string
	// Notes say what was done to prompt and image on their way in, and what the
	// trainer will see otherwise than a person does.
	Notes []string
}

// PairID returns the identity of a pair: the digest of its prompt and of its
// image's bytes. Where a pair lies does not matter to it.
func PairID(prompt string, image Digest) Digest {
	return NewDigester("pair/1").Text(prompt).Digest(image).Sum()
}

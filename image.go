package irgdata

// Formats of images that the pipeline reads, as [ImageRef.Format] names them.
const (
	FormatJPEG = "jpeg"
	FormatPNG  = "png"
	FormatWebP = "webp"
	FormatGIF  = "gif"
	FormatTIFF = "tiff"
	FormatBMP  = "bmp"
)

// ImageRef names an image without holding it. Stages pass references, never
// bytes, so that memory does not grow with the dataset; the bytes are in the
// image store under the digest.
type ImageRef struct {
	// Digest is the SHA-256 of the encoded bytes, untouched.
	Digest Digest `json:"digest"`
	// Size is the number of encoded bytes.
	Size int64 `json:"size"`
	// Format is one of the Format constants.
	Format string `json:"format"`
	// Width and Height are in pixels, as the trainer sees them: as stored, no
	// EXIF orientation applied (but for a TIFF's, which Pillow applies).
	Width  int `json:"width"`
	Height int `json:"height"`
}

// IsZero reports whether r refers to no image.
func (r ImageRef) IsZero() bool { return r.Digest.IsZero() }

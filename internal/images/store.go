// Package images keeps encoded images by their digest and reads what a header
// says of them. Stages pass references around; the bytes lie here.
package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // the formats that image.Decode knows
	_ "image/png"

	_ "golang.org/x/image/webp"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// MaxPixels is the most pixels that an image may have: the official loader's
// PIL.Image.MAX_IMAGE_PIXELS. It bounds what a decode can cost.
const MaxPixels = 200_000_000

// Probe reads the header of an encoded image.
func Probe(encoded []byte) (irgdata.ImageRef, error) {
	cfg, format, err := image.DecodeConfig(bytes.NewReader(encoded))
	if err != nil {
		return irgdata.ImageRef{}, fmt.Errorf("the %d bytes are no JPEG, PNG or WebP image: %w", len(encoded), err)
	}
	if cfg.Width <= 0 || cfg.Height <= 0 || cfg.Width > MaxPixels/cfg.Height {
		return irgdata.ImageRef{}, fmt.Errorf("the image has %d×%d pixels, want at most %d in all", cfg.Width, cfg.Height, MaxPixels)
	}
	return irgdata.ImageRef{
		Digest: irgdata.DigestOf(encoded), Size: int64(len(encoded)), Format: format, Width: cfg.Width, Height: cfg.Height,
	}, nil
}

// Decode decodes an image whose header [Probe] accepts.
func Decode(encoded []byte) (image.Image, error) {
	if _, err := Probe(encoded); err != nil {
		return nil, err
	}
	img, _, err := image.Decode(bytes.NewReader(encoded))
	return img, err
}

// Store keeps images in a store of objects, each under its digest.
type Store struct{ objects blob.Store }

// NewStore keeps images in objects, under "images/".
func NewStore(objects blob.Store) *Store { return &Store{objects: objects} }

func key(d irgdata.Digest) string {
	s := d.String()
	return "images/" + s[:2] + "/" + s
}

// Put keeps the image and returns its reference. When it returns, the image
// is durable. An image that is there already is not written again, unless it
// has another size, which the loss of power or a full disk may have left.
func (s *Store) Put(ctx context.Context, encoded []byte) (irgdata.ImageRef, error) {
	ref, err := Probe(encoded)
	if err != nil {
		return irgdata.ImageRef{}, err
	}
	err = blob.PutBytes(ctx, s.objects, key(ref.Digest), encoded, blob.PutOptions{CreateOnly: true, Digest: ref.Digest})
	if errors.Is(err, blob.ErrExists) {
		var there blob.Object
		there, err = s.objects.Stat(ctx, key(ref.Digest))
		if err == nil && there.Size != ref.Size {
			err = blob.PutBytes(ctx, s.objects, key(ref.Digest), encoded, blob.PutOptions{Digest: ref.Digest})
		}
	}
	return ref, err
}

// Bytes returns the image's bytes, checked against its digest.
func (s *Store) Bytes(ctx context.Context, ref irgdata.ImageRef) ([]byte, error) {
	return blob.ReadVerified(ctx, s.objects, key(ref.Digest), ref.Size, ref.Digest)
}

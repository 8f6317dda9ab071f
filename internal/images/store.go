// Package images reads encoded images: what their headers say, what the
// official trainer sees in them and where it goes wrong, and how an image is
// encoded anew so that it does not. It keeps images by their digest; stages
// pass references around, the bytes lie here.
package images

import (
	"context"
	"errors"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

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

// Package images reads encoded images: what their headers say, what the
// official trainer sees in them and where it goes wrong, and how an image is
// encoded anew so that it does not. It keeps images by their digest; stages
// pass references around, the bytes lie here.
package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// Store keeps images in a store of objects, each under its digest.
type Store struct{ objects blob.Store }

// NewStore keeps images in objects, under "images/".
func NewStore(objects blob.Store) *Store { return &Store{objects: objects} }

// Prefix is the folder of the store that holds images.
const Prefix = "images/"

// Key is where the image of a digest lies in its store.
func Key(d irgdata.Digest) string {
	s := d.String()
	return Prefix + s[:2] + "/" + s
}

// Put keeps the image and returns its reference. When it returns, the image
// is durable. An image that is there already is not written again, unless it
// has another size, which the loss of power or a full disk may have left.
func (s *Store) Put(ctx context.Context, encoded []byte) (irgdata.ImageRef, error) {
	ref, err := Probe(encoded)
	if err != nil {
		return irgdata.ImageRef{}, err
	}
	err = blob.PutBytes(ctx, s.objects, Key(ref.Digest), encoded, blob.PutOptions{CreateOnly: true, Digest: ref.Digest})
	if errors.Is(err, blob.ErrExists) {
		var there blob.Object
		there, err = s.objects.Stat(ctx, Key(ref.Digest))
		if err == nil && there.Size != ref.Size {
			err = blob.PutBytes(ctx, s.objects, Key(ref.Digest), encoded, blob.PutOptions{Digest: ref.Digest})
		}
	}
	return ref, err
}

// Restore keeps the image as Put does, and also compares the bytes of one that
// is there already and replaces it if it is damaged.
func (s *Store) Restore(ctx context.Context, encoded []byte) error {
	d := irgdata.DigestOf(encoded)
	return blob.PutContent(ctx, s.objects, Key(d), bytes.NewReader(encoded), int64(len(encoded)), d)
}

// Bytes returns the image's bytes, checked against its digest.
func (s *Store) Bytes(ctx context.Context, ref irgdata.ImageRef) ([]byte, error) {
	encoded, err := blob.ReadVerified(ctx, s.objects, Key(ref.Digest), ref.Size, ref.Digest)
	if errors.Is(err, blob.ErrNotExist) || errors.Is(err, blob.ErrDamaged) {
		err = fmt.Errorf("%w: run `irgdata verify --repair`", err)
	}
	return encoded, err
}

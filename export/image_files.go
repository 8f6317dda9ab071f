package export

import (
	"context"
	"errors"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// putImage puts an image of the example beside the rows, under its digest, and
// returns its path below the export's root. Equal images are one file.
func putImage(ctx context.Context, dest blob.Store, x example, ref irgdata.ImageRef) (string, error) {
	path := "images/" + ref.Digest.String()[:2] + "/" + imageName(ref)
	err := blob.PutBytes(ctx, dest, path, x.images[ref.Digest], blob.PutOptions{CreateOnly: true})
	if errors.Is(err, blob.ErrExists) {
		err = nil
	}
	return path, err
}

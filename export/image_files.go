package export

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// imagesFolder is where images lie beside the rows.
const imagesFolder = "images/"

// imageFiles are the images beside the rows, under their digests. put is called
// from several goroutines.
type imageFiles struct {
	dest blob.Store

	mu    sync.Mutex
	there map[string]bool // left by an export that was broken off; true once an example shows it
}

func newImageFiles(dest blob.Store, there *whole) *imageFiles {
	f := &imageFiles{dest: dest, there: map[string]bool{}}
	for _, path := range there.images {
		f.there[path] = false
	}
	return f
}

// put puts an image of the example, and returns its path below the export's
// root. Equal images are one file, and one that is there is not put again.
func (f *imageFiles) put(ctx context.Context, x example, ref irgdata.ImageRef) (string, error) {
	path := imagesFolder + ref.Digest.String()[:2] + "/" + imageName(ref)
	if f.shown(path) {
		return path, nil
	}
	err := blob.PutBytes(ctx, f.dest, path, x.images[ref.Digest], blob.PutOptions{CreateOnly: true})
	if errors.Is(err, blob.ErrExists) {
		err = nil
	}
	return path, err
}

// shown marks an image that is there.
func (f *imageFiles) shown(path string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.there[path]
	if ok {
		f.there[path] = true
	}
	return ok
}

// finish removes what no example shows.
func (f *imageFiles) finish(ctx context.Context) error {
	for path, shown := range f.there {
		if shown {
			continue
		}
		if err := f.dest.Delete(ctx, path); err != nil {
			return fmt.Errorf("remove what a broken export left: %w", err)
		}
	}
	return nil
}

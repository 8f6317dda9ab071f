package manifests

import (
	"errors"
	"fmt"

	"github.com/irgdata/irgdata/internal/blob"
)

// otherFormatError says that another irgdata wrote an object, which may be sound.
type otherFormatError struct{ format, reads int }

func (e *otherFormatError) Error() string {
	return fmt.Sprintf("it has format %d and this irgdata reads format %d: use the irgdata that wrote it", e.format, e.reads)
}

// damage makes blob.ErrDamaged of what is wrong with bytes that were read, unless
// they are of another format.
func damage(err error) error {
	var other *otherFormatError
	if err == nil || errors.As(err, &other) {
		return err
	}
	return fmt.Errorf("%w: %w", blob.ErrDamaged, err)
}

// isDamage tells an object that is known to be damaged or gone from one that could
// not be read and may be sound. Only the former may be deleted or written anew.
func isDamage(err error) bool {
	return errors.Is(err, blob.ErrDamaged) || errors.Is(err, blob.ErrNotExist)
}

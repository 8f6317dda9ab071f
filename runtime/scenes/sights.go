package scenes

import (
	"image"
	"sync"

	"github.com/irgdata/irgdata"
)

// look says what is to be seen in an image of a request.
type look func() (Picture, error)

// sights remember what was seen in the last images: a judge is asked a dozen
// questions about the same two. What is remembered is shared and not changed.
type sights struct {
	mu   sync.Mutex
	seen map[irgdata.Digest]*sight
	last []irgdata.Digest // the oldest first
}

// sight is what was seen in one image.
type sight struct {
	once    sync.Once
	picture Picture
	err     error
}

// remembered is more than the images that workers have under way at once; a
// sight takes about a kilobyte.
const remembered = 256

// look returns the look at an image. A nil *sights remembers nothing.
func (s *sights) look(encoded []byte, img image.Image) look {
	if s == nil {
		return func() (Picture, error) { return See(img) }
	}
	digest := irgdata.DigestOf(encoded)
	return func() (Picture, error) {
		of := s.of(digest)
		of.once.Do(func() { of.picture, of.err = See(img) })
		return of.picture, of.err
	}
}

// of is the sight of an image, which may be yet to be seen.
func (s *sights) of(digest irgdata.Digest) *sight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.seen[digest]; ok {
		return known
	}
	if len(s.last) == remembered {
		delete(s.seen, s.last[0])
		s.last = append(s.last[:0], s.last[1:]...)
	}
	s.seen[digest], s.last = &sight{}, append(s.last, digest)
	return s.seen[digest]
}

package scenes

import (
	"sync"

	"github.com/irgdata/irgdata"
)

// look says what is to be seen in an image of a request.
type look func() (Picture, error)

// sights remember what was seen in the last images: a judge is asked a dozen
// questions about the same two. What is remembered is shared and not changed.
type sights struct {
	mu   sync.Mutex
	seen map[irgdata.Digest]sight
	last []irgdata.Digest // the oldest first
}

// sight is what was seen in one image.
type sight struct {
	picture Picture
	err     error
}

func (s sight) look() (Picture, error) { return s.picture, s.err }

// remembered is more than the images that workers have under way at once; a
// sight takes about a kilobyte.
const remembered = 256

// look returns the look at an image, or an error if the image does not decode.
// A nil *sights remembers nothing.
func (s *sights) look(encoded []byte) (look, error) {
	digest := irgdata.DigestOf(encoded)
	if known, ok := s.recall(digest); ok {
		return known.look, nil
	}
	img, err := decode(encoded)
	if err != nil {
		return nil, err
	}
	return func() (Picture, error) {
		p, err := See(img)
		s.remember(digest, sight{p, err})
		return p, err
	}, nil
}

func (s *sights) recall(digest irgdata.Digest) (sight, bool) {
	if s == nil {
		return sight{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.seen[digest]
	return known, ok
}

func (s *sights) remember(digest irgdata.Digest, seen sight) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.seen[digest]; ok {
		return
	}
	if len(s.last) == remembered {
		delete(s.seen, s.last[0])
		s.last = append(s.last[:0], s.last[1:]...)
	}
	s.seen[digest], s.last = seen, append(s.last, digest)
}

package manifests

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// sealed is the form of the small objects of a store: tags, removals, marks of
// expired snapshots. Each is JSON with the digest of its content, so that a
// flipped bit is found, and is written once.
type sealed struct {
	Format   int             `json:"format"` // sealedFormat
	Content  json.RawMessage `json:"content"`
	Checksum irgdata.Digest  `json:"checksum"` // of Content
}

const (
	sealedFormat = 1
	// maxSealed bounds a sealed object's bytes.
	maxSealed = 64 << 20
)

func seal(content any) ([]byte, error) {
	text, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	text, err = json.Marshal(sealed{sealedFormat, text, irgdata.DigestOf(text)})
	return append(text, '\n'), err
}

// unseal reads what seal made of such a content, and nothing else.
func unseal[T any](text []byte) (content T, err error) {
	var s sealed
	if err := json.Unmarshal(text, &s); err != nil {
		return content, damage(err)
	}
	if s.Format != sealedFormat {
		return content, &otherFormatError{s.Format, sealedFormat}
	}
	dec := json.NewDecoder(bytes.NewReader(s.Content))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&content); err != nil {
		return content, damage(err)
	}
	if again, err := seal(content); err != nil || !bytes.Equal(again, text) {
		return content, damage(errors.New("its checksum does not fit"))
	}
	return content, nil
}

// putSealed writes a new sealed object; blob.ErrExists if the key is taken.
func putSealed(ctx context.Context, store blob.Store, key string, content any) error {
	text, err := seal(content)
	if err != nil {
		return err
	}
	return blob.PutBytes(ctx, store, key, text, blob.PutOptions{CreateOnly: true})
}

func loadSealed[T any](ctx context.Context, store blob.Store, key string) (content T, err error) {
	text, err := blob.ReadAll(ctx, store, key, maxSealed)
	if err != nil {
		return content, err
	}
	if content, err = unseal[T](text); err != nil {
		return content, fmt.Errorf("read %s: %w", store.URL(key), err)
	}
	return content, nil
}

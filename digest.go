package irgdata

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math"
)

// Digest is the SHA-256 of some bytes. It names images, pairs, model calls
// and shards, so that equal content has one name everywhere. The zero Digest
// means "none".
type Digest [sha256.Size]byte

// DigestOf returns the digest of b.
func DigestOf(b []byte) Digest { return sha256.Sum256(b) }

// IsZero reports whether d is the absent digest.
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns d as 64 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Short returns the first 12 hexadecimal digits, for people.
func (d Digest) Short() string { return d.String()[:12] }

// MarshalText implements [encoding.TextMarshaler]; the zero digest is "".
func (d Digest) MarshalText() ([]byte, error) {
	if d.IsZero() {
		return nil, nil
	}
	return []byte(d.String()), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Digest{}
		return nil
	}
	parsed, err := ParseDigest(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// ParseDigest reads the 64 hexadecimal digits that [Digest.String] writes.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != 2*len(d) {
		return Digest{}, fmt.Errorf("digest %.80q: want %d hexadecimal digits, got %d characters", s, 2*len(d), len(s))
	}
	if _, err := hex.Decode(d[:], []byte(s)); err != nil {
		return Digest{}, fmt.Errorf("digest %q: %w", s, err)
	}
	return d, nil
}

// Digester digests a sequence of fields. Each field is written with its
// length, so that ("ab","c") and ("a","bc") differ.
type Digester struct{ h hash.Hash }

// NewDigester starts a digest in the given domain, such as "pair/1": equal
// fields of different domains get different digests.
func NewDigester(domain string) *Digester {
	d := &Digester{h: sha256.New()}
	return d.Text(domain)
}

// Text adds a string field.
func (d *Digester) Text(s string) *Digester {
	d.Uint(uint64(len(s)))
	d.h.Write([]byte(s)) // a hash never returns an error
	return d
}

// Digest adds a digest field.
func (d *Digester) Digest(x Digest) *Digester {
	d.h.Write(x[:])
	return d
}

// Uint adds an integer field.
func (d *Digester) Uint(v uint64) *Digester {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], v)
	d.h.Write(b[:])
	return d
}

// Float adds a number field by its bits.
func (d *Digester) Float(v float64) *Digester { return d.Uint(math.Float64bits(v)) }

// Sum returns the digest of the fields added so far.
func (d *Digester) Sum() Digest {
	var out Digest
	d.h.Sum(out[:0])
	return out
}

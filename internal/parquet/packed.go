package parquet

import (
	"encoding/base64"
	"encoding/binary"

	"github.com/klauspost/compress/huff0"
)

// Packed is a part of a text, compressed on its own, so that what stands in
// several texts is compressed once. It is a run of Zstandard blocks (RFC 8878,
// section 3.1.1.2) with Huffman codes alone: none looks back at what came
// before, so that they mean the same in any frame.
type Packed struct {
	size   int // of the text
	blocks []byte
}

// Size is the number of bytes of the text.
func (p Packed) Size() int { return p.size }

// blockSize is the most that a block may hold.
const blockSize = 128 << 10

// The types of a block.
const (
	rawBlock        = 0
	runBlock        = 1 // one byte, again and again
	compressedBlock = 2
)

// PackBase64 compresses the base64 (RFC 4648, section 4) of data, which comes to
// about the size of data.
func PackBase64(data []byte) Packed {
	p := Packed{size: base64.StdEncoding.EncodedLen(len(data)), blocks: make([]byte, 0, len(data)+len(data)>>8+64)}
	var text []byte // of a block that is coded by what it holds
	var scratch *huff0.Scratch
	for len(data) > 0 {
		n := min(len(data), blockSize/4*3)
		if aligned := n / sextetsUnit * sextetsUnit; aligned >= leastSextets && even(data[:aligned]) {
			p.blocks = appendSextets(p.blocks, data[:aligned])
			data = data[aligned:]
			continue
		}
		if scratch == nil {
			scratch = newScratch()
		}
		text = base64.StdEncoding.AppendEncode(text[:0], data[:n])
		p.blocks = appendBlock(p.blocks, text, scratch)
		data = data[n:]
	}
	return p
}

// newScratch is memory for the making of blocks, one after another.
func newScratch() *huff0.Scratch { return &huff0.Scratch{Reuse: huff0.ReusePolicyNone} }

func appendBlocks(out, text []byte, scratch *huff0.Scratch) []byte {
	for len(text) > 0 {
		n := min(len(text), blockSize)
		out = appendBlock(out, text[:n], scratch)
		text = text[n:]
	}
	return out
}

// leastPacked is the size from which the codes' table is worth its bytes.
const leastPacked = 128

func appendBlock(out, text []byte, scratch *huff0.Scratch) []byte {
	if len(text) >= leastPacked {
		switch codes, _, err := huff0.Compress4X(text, scratch); {
		case err == huff0.ErrUseRLE:
			return append(appendBlockHeader(out, runBlock, len(text), false), text[0])
		case err == nil && len(codes)+literalsHeader+1 < len(text):
			return appendCodes(out, len(text), codes)
		}
	}
	return append(appendBlockHeader(out, rawBlock, len(text), false), text...)
}

// literalsHeader is the most bytes of what goes before the codes.
const literalsHeader = 5

// appendCodes appends a block of literals in four streams of codes, and of no
// sequences.
func appendCodes(out []byte, size int, codes []byte) []byte {
	return append(append(appendLiterals(out, size, len(codes)), codes...), 0)
}

// appendLiterals appends what goes before the codes of a block.
func appendLiterals(out []byte, size, codes int) []byte {
	// Type 2, the form of the sizes, and both sizes, from the lowest bit on.
	form, bits := uint64(1), 10
	if size >= 1<<14 {
		form, bits = 3, 18
	} else if size >= 1<<10 {
		form, bits = 2, 14
	}
	var header [8]byte
	binary.LittleEndian.PutUint64(header[:], 2|form<<2|uint64(size)<<4|uint64(codes)<<(4+bits))
	n := (4 + 2*bits + 7) / 8
	return append(appendBlockHeader(out, compressedBlock, n+codes+1, false), header[:n]...)
}

func appendBlockHeader(out []byte, kind, size int, last bool) []byte {
	h := kind<<1 | size<<3
	if last {
		h |= 1
	}
	return append(out, byte(h), byte(h>>8), byte(h>>16))
}

// beginFrame appends the header of a frame, whose size endFrame will fill in. Its
// window is as small as blocks allow, so that who reads it as a stream needs
// little memory.
func beginFrame(out []byte) []byte {
	return append(out, 0x28, 0xb5, 0x2f, 0xfd, 2<<6, 7<<3, 0, 0, 0, 0)
}

// endFrame ends the frame that begins at out, of size bytes of text.
func endFrame(out []byte, size int) []byte {
	binary.LittleEndian.PutUint32(out[6:], uint32(size))
	return appendBlockHeader(out, rawBlock, 0, true)
}

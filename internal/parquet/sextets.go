package parquet

import "encoding/binary"

// Of images that are compressed well, the 64 characters of base64 come about
// equally often, and the best Huffman code gives each of them six bits: those that
// it stands for, under other numbers. So the codes are made of the data itself, and
// no text is made and counted.

// alphabet has the characters in the order of what they stand for (RFC 4648,
// section 4).
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// sextetCodes has the codes of two characters under the twelve bits that they
// stand for. Codes of equal length are numbered in the order of the characters
// (RFC 8878, section 4.2.1).
var sextetCodes = func() (codes [1 << 12]uint16) {
	var code [64]uint16
	for i := range alphabet {
		for j := range alphabet {
			if alphabet[j] < alphabet[i] {
				code[i]++
			}
		}
	}
	for i := range codes {
		codes[i] = code[i>>6]<<6 | code[i&63]
	}
	return codes
}()

// sextetTable describes these codes: the weight of each character up to the last
// but one, 1 for those of the alphabet, in four bits each.
var sextetTable = func() []byte {
	weights := [128]byte{}
	for i := range alphabet {
		weights[alphabet[i]] = 1
	}
	const last = 'z'
	table := []byte{127 + last}
	for i := 0; i < last; i += 2 {
		table = append(table, weights[i]<<4|weights[i+1])
	}
	return table
}()

// sextetsUnit is the number of bytes of which a block of sextets holds a multiple:
// a multiple of four characters in each of four streams.
const sextetsUnit = 12

// leastSextets is the number of bytes from which the table is worth its place.
const leastSextets = 4 << 10

// even reports whether the base64 of data has its characters about equally often: by
// a sample of it, codes of six bits are longer than the best ones by at most a
// hundredth or so.
func even(data []byte) bool {
	const samples = 2048
	var counts [64]uint64
	n := uint64(0)
	// An odd step meets all places of whatever repeats itself after a power of two.
	for at, step := 0, 3*(len(data)/samples/3|1); at+3 <= len(data); at += step {
		counts[data[at]>>2]++
		counts[(data[at]<<4|data[at+1]>>4)&63]++
		counts[(data[at+1]<<2|data[at+2]>>6)&63]++
		counts[data[at+2]&63]++
		n += 4
	}
	squares := uint64(0)
	for _, c := range counts {
		squares += c * c
	}
	return squares*64*10 <= n*n*11
}

// appendSextets appends a block with the base64 of data, whose length is a multiple
// of sextetsUnit, from leastSextets to three quarters of blockSize.
func appendSextets(out, data []byte) []byte {
	quarter := len(data) / 4
	stream := quarter + 1
	codes := len(sextetTable) + 6 + 4*stream
	out = appendLiterals(out, len(data)/3*4, codes)
	out = append(out, sextetTable...)
	for range 3 { // the last one is what is left
		out = binary.LittleEndian.AppendUint16(out, uint16(stream))
	}
	for ; len(data) > 0; data = data[quarter:] {
		out = append(out, make([]byte, stream)...)
		putSextets(out[len(out)-stream:], data[:quarter])
	}
	return append(out, 0) // sequences
}

// putSextets fills a stream with the codes of data. It is read from its end: from
// the bit that marks it on, the first character's code first.
func putSextets(stream, data []byte) {
	stream[len(data)] = 1
	i := 0
	for ; i+8 <= len(data); i += 6 {
		x := binary.BigEndian.Uint64(data[i:])
		y := uint64(sextetCodes[x>>52])<<52 | uint64(sextetCodes[x>>40&0xfff])<<40 | uint64(sextetCodes[x>>28&0xfff])<<28 | uint64(sextetCodes[x>>16&0xfff])<<16
		binary.LittleEndian.PutUint64(stream[len(data)-8-i:], y) // the lower two bytes come next
	}
	for ; i < len(data); i += 3 {
		y := uint32(sextetCodes[uint32(data[i])<<4|uint32(data[i+1])>>4])<<12 | uint32(sextetCodes[uint32(data[i+1]&0xf)<<8|uint32(data[i+2])])
		at := stream[len(data)-3-i:]
		at[0], at[1], at[2] = byte(y), byte(y>>8), byte(y>>16)
	}
}

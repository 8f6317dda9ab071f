package images

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"

	"golang.org/x/image/webp"
)

// webpFile is what the chunks of a WebP hold (RFC 9649, section 2).
type webpFile struct {
	width, height int
	animated      bool
	alpha         bool // as the extended header says
	first         webpFrame
	frames        int
	exif, profile []byte
}

// webpFrame is one picture: its place on the canvas and its bitstream, lossy
// with an optional plane of opacity, or lossless.
type webpFrame struct {
	rect             image.Rectangle
	opacity          []byte // ALPH
	lossy, lossless  []byte // one of them
	width, height    int    // as the bitstream says
	losslessHasAlpha bool
	valid            bool // there is a bitstream
}

// riffChunks calls each for every chunk, and reports whether all of them lie in
// the bytes whole. The last one may lack its padding.
func riffChunks(rest []byte, each func(name string, data []byte) error) (whole bool, err error) {
	const head = 8
	for len(rest) >= head {
		size := int64(binary.LittleEndian.Uint32(rest[4:]))
		if head+size > int64(len(rest)) {
			return false, nil
		}
		if err := each(string(rest[:4]), rest[head:head+size]); err != nil {
			return false, err
		}
		rest = rest[min(head+size+size&1, int64(len(rest))):]
	}
	return len(rest) == 0, nil
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

func parseWebP(encoded []byte) (webpFile, error) {
	const riffHeader = 12
	var f webpFile
	end := int64(binary.LittleEndian.Uint32(encoded[4:])) + 8
	body := encoded[riffHeader:max(riffHeader, min(end, int64(len(encoded))))]
	extended := false
	first := true
	whole, err := riffChunks(body, func(name string, data []byte) error {
		if first && name != "VP8X" && name != "VP8 " && name != "VP8L" {
			return fmt.Errorf("its first chunk is %q, want a picture or VP8X", name)
		}
		first = false
		switch name {
		case "VP8X":
			if len(data) < 10 || extended || f.first.valid {
				return errors.New("its VP8X chunk is malformed")
			}
			extended = true
			f.animated, f.alpha = data[0]&0x02 != 0, data[0]&0x10 != 0
			f.width, f.height = uint24(data[4:])+1, uint24(data[7:])+1
		case "ICCP":
			f.profile = data
		case "EXIF":
			f.exif = data
		case "ANMF":
			if !f.animated {
				break
			}
			f.frames++
			return f.frame(data)
		case "VP8 ", "VP8L", "ALPH":
			if f.animated || f.first.valid {
				break
			}
			return f.first.take(name, data)
		}
		return nil
	})
	switch {
	case err != nil:
		return f, err
	case !whole || end > int64(len(encoded)): // libwebp makes no decoder of a part
		return f, errCut
	case !f.first.valid:
		return f, errCut
	case !extended:
		f.width, f.height = f.first.width, f.first.height
	}
	if !f.animated {
		f.first.rect = image.Rect(0, 0, f.width, f.height)
	}
	if size := f.first.rect.Size(); size != image.Pt(f.first.width, f.first.height) {
		return f, fmt.Errorf("its picture has %d×%d pixels, and %d×%d are announced", f.first.width, f.first.height, size.X, size.Y)
	}
	return f, nil
}

// frame reads a frame of an animation: where it lies, and of the first one what
// it holds.
func (f *webpFile) frame(data []byte) error {
	const header = 16
	if len(data) < header {
		return errors.New("its ANMF chunk is too short")
	}
	x, y := 2*uint24(data), 2*uint24(data[3:])
	rect := image.Rect(x, y, x+uint24(data[6:])+1, y+uint24(data[9:])+1)
	if err := checkFrame(f.frames, rect, f.width, f.height); err != nil || f.frames > 1 {
		return err
	}
	f.first.rect = rect
	whole, err := riffChunks(data[header:], f.first.take)
	if err == nil && (!whole || !f.first.valid) {
		err = errors.New("its first frame holds no picture")
	}
	return err
}

// take keeps a chunk of the picture and reads the size in its header.
func (f *webpFrame) take(name string, data []byte) error {
	switch {
	case f.valid: // the bitstream is the last that counts
	case name == "ALPH":
		f.opacity = data
	case name == "VP8 ": // RFC 6386, section 9.1
		if len(data) < 10 || data[0]&1 != 0 || string(data[3:6]) != "\x9d\x01\x2a" {
			return errors.New("its lossy bitstream is malformed")
		}
		f.width, f.height = int(binary.LittleEndian.Uint16(data[6:]))&0x3fff, int(binary.LittleEndian.Uint16(data[8:]))&0x3fff
		f.lossy, f.valid = data, true
	case name == "VP8L": // RFC 9649, section 3.4
		if len(data) < 5 || data[0] != 0x2f {
			return errors.New("its lossless bitstream is malformed")
		}
		bits := binary.LittleEndian.Uint32(data[1:])
		f.width, f.height = int(bits&0x3fff)+1, int(bits>>14&0x3fff)+1
		f.losslessHasAlpha = bits>>28&1 != 0
		f.lossless, f.valid = data, true
	}
	return nil
}

// transparent says what libwebp holds for transparent: an animation by its
// header, a lossless picture by its own, a lossy one by both its parts.
func (f webpFile) transparent() bool {
	switch {
	case f.animated:
		return f.alpha
	case f.first.lossless != nil:
		return f.first.losslessHasAlpha
	}
	return f.alpha && f.first.opacity != nil
}

func inspectWebP(encoded []byte) (Info, error) {
	f, err := parseWebP(encoded)
	if err != nil {
		return Info{}, err
	}
	info := Info{
		Width: f.width, Height: f.height, Depth: 8, Colour: RGB, Frames: f.frames,
		Orientation: exifOrientation(f.exif), first: f.first.rect, ground: color.RGBA{A: 255},
	}
	if f.transparent() {
		info.Alpha = AlphaChannel
	}
	if f.profile != nil {
		info.Profile = profileName(f.profile)
	}
	return info, nil
}

// still returns the picture as a WebP of its own, which is all that
// golang.org/x/image/webp decodes.
func (f webpFrame) still() []byte {
	b := append([]byte("RIFF"), 0, 0, 0, 0)
	b = append(b, "WEBP"...)
	chunk := func(name string, data []byte) {
		b = append(b, name...)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
		if b = append(b, data...); len(data)&1 != 0 {
			b = append(b, 0)
		}
	}
	switch {
	case f.lossless != nil:
		chunk("VP8L", f.lossless)
	case f.opacity != nil:
		w, h := f.width-1, f.height-1
		chunk("VP8X", []byte{0x10, 0, 0, 0, byte(w), byte(w >> 8), byte(w >> 16), byte(h), byte(h >> 8), byte(h >> 16)})
		chunk("ALPH", f.opacity)
		chunk("VP8 ", f.lossy)
	default:
		chunk("VP8 ", f.lossy)
	}
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-8))
	return b
}

// pixelsWebP decodes the picture, or the first frame on its canvas.
func pixelsWebP(encoded []byte, info Info) (image.Image, error) {
	f, err := parseWebP(encoded)
	if err != nil {
		return nil, err
	}
	if info.Alpha == Opaque {
		f.first.opacity = nil
	}
	img, err := webp.Decode(bytes.NewReader(f.first.still()))
	if err != nil {
		return nil, err
	}
	switch p := img.(type) {
	case *image.YCbCr:
		widen(p)
	case *image.NYCbCrA:
		widen(&p.YCbCr)
	case *image.NRGBA:
		if info.Alpha == Opaque {
			img = opaque(p)
		}
	}
	return onCanvas(img, info), nil
}

// widen stretches the samples of a lossy WebP, 16 to 235 and 16 to 240 as in
// ITU-R BT.601, to the 0 to 255 of JPEG that [image.YCbCr] stands for.
// golang.org/x/image leaves them narrow, so that black comes out as 16
// (golang/go#40173).
func widen(p *image.YCbCr) {
	var luma, chroma [256]uint8
	for i := range luma {
		luma[i] = uint8(min(max((float64(i)-16)*255/219+0.5, 0), 255))
		chroma[i] = uint8(min(max((float64(i)-128)*255/224+128.5, 0), 255))
	}
	for i, v := range p.Y {
		p.Y[i] = luma[v]
	}
	for i := range p.Cb {
		p.Cb[i], p.Cr[i] = chroma[p.Cb[i]], chroma[p.Cr[i]]
	}
}

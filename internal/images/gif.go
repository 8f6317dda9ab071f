package images

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
)

// inspectGIF walks the blocks of a GIF (GIF89a, appendix A) to its trailer. It
// reads no compressed pixel.
func inspectGIF(encoded []byte) (Info, error) {
	const screen, descriptor = 13, 10
	info := Info{Depth: 8, Colour: Palette}
	if len(encoded) < screen {
		return info, errCut
	}
	info.Width, info.Height = int(binary.LittleEndian.Uint16(encoded[6:])), int(binary.LittleEndian.Uint16(encoded[8:]))
	rest := encoded[screen:]
	global, rest, ok := gifPalette(rest, encoded[10])
	transparent := false // by the control block before the frame
	for ok {
		switch {
		case len(rest) == 0:
			ok = false
		case rest[0] == ';':
			if info.Frames == 0 {
				return info, errors.New("it has no frame")
			}
			return info, nil
		case rest[0] == '!':
			if len(rest) >= 4 && rest[1] == 0xf9 && rest[2] >= 1 {
				transparent = rest[3]&1 != 0
			}
			rest, ok = gifSkip(rest, 2)
		case rest[0] == ',' && len(rest) >= descriptor:
			at := func(i int) int { return int(binary.LittleEndian.Uint16(rest[i:])) }
			frame := image.Rect(at(1), at(3), at(1)+at(5), at(3)+at(7))
			local, after, whole := gifPalette(rest[descriptor:], rest[9])
			info.Frames++
			if err := checkFrame(info.Frames, frame, info.Width, info.Height); err != nil {
				return info, err
			}
			if info.Frames == 1 {
				info.first, info.ground = frame, color.RGBA{A: 255}
				if transparent {
					info.Alpha = AlphaKey
				}
				for _, palette := range [][]byte{global, local} {
					if len(palette) >= 3 {
						info.ground = color.RGBA{R: palette[0], G: palette[1], B: palette[2], A: 255}
					}
				}
			}
			transparent = false
			if ok = whole; ok {
				rest, ok = gifSkip(after, 1)
			}
		default:
			ok = false
		}
	}
	if info.Frames == 0 {
		return info, errCut
	}
	info.cut = true
	return info, nil
}

// gifPalette takes the palette that the flags announce off the front.
func gifPalette(rest []byte, flags byte) (palette, after []byte, ok bool) {
	if flags&0x80 == 0 {
		return nil, rest, true
	}
	size := 3 << (flags&7 + 1)
	if len(rest) < size {
		return nil, nil, false
	}
	return rest[:size], rest[size:], true
}

// gifSkip passes over head bytes and the sub-blocks after them.
func gifSkip(rest []byte, head int) (after []byte, ok bool) {
	for n := head; n <= len(rest); n = 1 + int(rest[0]) {
		if rest = rest[n:]; len(rest) == 0 {
			return nil, false
		}
		if rest[0] == 0 {
			return rest[1:], true
		}
	}
	return nil, false
}

// pixelsGIF decodes the first frame, on its canvas.
func pixelsGIF(encoded []byte, info Info) (image.Image, error) {
	frame, err := gif.Decode(bytes.NewReader(encoded))
	if err != nil {
		return nil, err
	}
	return onCanvas(frame, info), nil
}

// onCanvas draws the first frame at its place on a transparent canvas, unless
// it fills the canvas.
func onCanvas(frame image.Image, info Info) image.Image {
	if info.covered() {
		return frame
	}
	canvas := image.NewNRGBA(image.Rect(0, 0, info.Width, info.Height))
	draw.Draw(canvas, info.first, frame, frame.Bounds().Min, draw.Src)
	return canvas
}

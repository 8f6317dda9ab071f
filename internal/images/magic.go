package images

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/irgdata/irgdata"
)

// formatNames are the formats for people.
var formatNames = map[string]string{
	irgdata.FormatJPEG: "JPEG",
	irgdata.FormatPNG:  "PNG",
	irgdata.FormatWebP: "WebP",
	irgdata.FormatGIF:  "GIF",
	irgdata.FormatTIFF: "TIFF",
	irgdata.FormatBMP:  "BMP",
}

// extensions are those of file names that promise a format, read here or not.
var extensions = map[string]string{
	".jpg": irgdata.FormatJPEG, ".jpeg": irgdata.FormatJPEG, ".jpe": irgdata.FormatJPEG, ".jfif": irgdata.FormatJPEG,
	".png": irgdata.FormatPNG, ".apng": irgdata.FormatPNG,
	".webp": irgdata.FormatWebP,
	".gif":  irgdata.FormatGIF,
	".tif":  irgdata.FormatTIFF, ".tiff": irgdata.FormatTIFF,
	".bmp": irgdata.FormatBMP, ".dib": irgdata.FormatBMP,
	".avif": "avif", ".heic": "heic", ".heif": "heic", ".jxl": "jxl", ".svg": "svg", ".pdf": "pdf",
}

// recognise names the format that the first bytes show.
func recognise(encoded []byte) (string, error) {
	starts := func(magic string) bool {
		return strings.HasPrefix(string(encoded[:min(len(encoded), len(magic))]), magic)
	}
	switch {
	case len(encoded) == 0:
		return "", errors.New("the image is empty: 0 bytes")
	case starts("\xff\xd8\xff"):
		return irgdata.FormatJPEG, nil
	case starts(pngMagic):
		return irgdata.FormatPNG, nil
	case starts("RIFF") && len(encoded) >= 12 && string(encoded[8:12]) == "WEBP":
		return irgdata.FormatWebP, nil
	case starts("GIF87a"), starts("GIF89a"):
		return irgdata.FormatGIF, nil
	case starts("II*\x00"), starts("MM\x00*"), starts("II+\x00"), starts("MM\x00+"):
		return irgdata.FormatTIFF, nil
	case starts("BM") && len(encoded) >= bmpHeader && slices.Contains(bmpSizes, binary.LittleEndian.Uint32(encoded[14:])):
		return irgdata.FormatBMP, nil
	}
	if what := otherFormat(encoded); what != "" {
		return "", fmt.Errorf("the image is %s: convert it to JPEG or PNG", what)
	}
	if what := noImage(encoded); what != "" {
		return "", fmt.Errorf("the %d bytes are no image: they are %s", len(encoded), what)
	}
	return "", fmt.Errorf("the %d bytes are no JPEG, PNG, WebP, GIF, TIFF or BMP image", len(encoded))
}

// otherFormat names a format of images that is not read here, and who else
// does not read it; "" if it is none of those known.
func otherFormat(encoded []byte) string {
	head := encoded[:min(len(encoded), 4096)]
	switch {
	case len(head) >= 12 && string(head[4:8]) == "ftyp":
		// ISO/IEC 14496-12: the major brand, a version, the compatible brands.
		size := min(int(binary.BigEndian.Uint32(head)), len(head))
		brands := string(head[8:max(size, 12)])
		switch {
		case strings.Contains(brands, "avif"), strings.Contains(brands, "avis"):
			return "AVIF, which only some of the trainer's Pillows read"
		case strings.Contains(brands, "hei"), strings.Contains(brands, "hev"), strings.Contains(brands, "mif1"), strings.Contains(brands, "msf1"):
			return "HEIC, which the trainer's Pillow does not read"
		}
	case bytes.HasPrefix(head, []byte("\xff\x0a")), bytes.HasPrefix(head, []byte("\x00\x00\x00\x0cJXL ")):
		return "JPEG XL, which the trainer's Pillow does not read"
	case bytes.HasPrefix(head, []byte("\x00\x00\x00\x0cjP  ")), bytes.HasPrefix(head, []byte("\xff\x4f\xff\x51")):
		return "JPEG 2000, which is not read here"
	case bytes.HasPrefix(head, []byte("8BPS")):
		return "a Photoshop document, which is not read here"
	case bytes.HasPrefix(head, []byte("\x00\x00\x01\x00")):
		return "an icon, which is not read here"
	}
	if text := textHead(head); strings.HasPrefix(text, "<svg") || strings.HasPrefix(text, "<?xml") && strings.Contains(text, "<svg") {
		return "SVG, a drawing without pixels"
	}
	return ""
}

// noImage names what is often found in an image's place; "" if it is unknown.
func noImage(encoded []byte) string {
	if bytes.HasPrefix(encoded, []byte("%PDF-")) {
		return "a PDF document"
	}
	text := textHead(encoded[:min(len(encoded), 4096)])
	switch {
	case text == "":
		return ""
	case strings.HasPrefix(text, "version https://git-lfs"):
		return "a pointer of Git LFS, whose file was not fetched"
	case strings.HasPrefix(text, "<!doctype html"), strings.HasPrefix(text, "<html"), strings.HasPrefix(text, "<head"), strings.HasPrefix(text, "<body"):
		return "an HTML page, as of a failed download"
	case strings.HasPrefix(text, "<?xml"), strings.HasPrefix(text, "<"):
		return "XML, as of a failed download"
	case strings.HasPrefix(text, "{"), strings.HasPrefix(text, "["):
		return "JSON, as of a failed download"
	}
	return "a text"
}

// textHead returns head in lower case, without leading space, if it is text.
func textHead(head []byte) string {
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	for cut := 0; cut < utf8.UTFMax && len(head) > 0 && !utf8.Valid(head); cut++ {
		head = head[:len(head)-1] // the head may end within a character
	}
	if !utf8.Valid(head) || bytes.ContainsFunc(head, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' }) {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(string(head)))
}

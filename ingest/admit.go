package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/fetch"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/internal/pdq"
)

// Keep makes an image durable before its pair is seen by anybody.
type Keep func(ctx context.Context, encoded []byte) error

// AdmissionOptions say what an item must be to become a pair.
type AdmissionOptions struct {
	Captions CaptionOptions
	Images   ImageOptions
}

// Reencode says which images are encoded anew.
type Reencode string

// The choices.
const (
	// ReencodeNever keeps the bytes of every image, and rejects those of which
	// the trainer would see another picture than a person does.
	ReencodeNever Reencode = "never"
	// ReencodeWrong encodes those anew, upright, on white, in 8 bits.
	ReencodeWrong Reencode = "wrong"
)

// ImageOptions bound images.
type ImageOptions struct {
	// MinSide is the least number of pixels of the shorter side, and MaxAspect
	// the most that the longer side may be of it.
	MinSide   int
	MaxAspect float64
	Reencode  Reencode
	// Quality is that of images that are encoded anew as JPEG: those that came
	// as JPEG or WebP. Others become PNG.
	Quality int
	// AnyExtension takes an image whose name promises another format.
	AnyExtension bool
}

// Validate reports the first mistake.
func (o AdmissionOptions) Validate() error {
	i := o.Images
	switch {
	case i.MinSide < 1:
		return fmt.Errorf("the least side of an image is %d: want a number of pixels, at least 1", i.MinSide)
	case !(i.MaxAspect >= 1):
		return fmt.Errorf("the largest aspect of an image is %v: want a number of at least 1", i.MaxAspect)
	case i.Reencode != ReencodeNever && i.Reencode != ReencodeWrong:
		return fmt.Errorf("what is encoded anew is %q: want %q or %q", i.Reencode, ReencodeNever, ReencodeWrong)
	case i.Quality < 1 || i.Quality > 100:
		return fmt.Errorf("the quality is %d: want 1 to 100", i.Quality)
	}
	return o.Captions.Validate()
}

// Admission makes entries of items. It is safe for concurrent use.
type Admission struct {
	o      AdmissionOptions
	memory *images.Memory
	fetch  *fetch.Fetcher
}

// NewAdmission returns an admission under the options. Without a fetcher, which
// the caller closes, nothing is downloaded.
func NewAdmission(o AdmissionOptions, memory *images.Memory, f *fetch.Fetcher) (*Admission, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	return &Admission{o: o, memory: memory, fetch: f}, nil
}

// identity names the options that shape entries.
func (a *Admission) identity() string {
	return fmt.Sprintf("admission/2 %+v %d", a.o, a.memory.Bytes())
}

// refusal is why an item is no pair.
type refusal struct {
	rule, reason string
	retry        bool // it may be another the next time
}

func (r *refusal) Error() string { return r.reason }

func refuse(rule, format string, args ...any) error {
	return &refusal{rule: rule, reason: fmt.Sprintf(format, args...)}
}

// admit loads an item, checks it and keeps its image. What is wrong with the
// item is in the entry; an error is the store's or the context's.
func (a *Admission) admit(ctx context.Context, r Raw, keep func(context.Context, Entry, []byte) error) (Entry, error) {
	e := Entry{Key: r.Key, License: r.License, URL: WithoutSecrets(r.URL)}
	err := a.caption(ctx, r, &e)
	if err == nil && !r.PromptOnly {
		err = a.image(ctx, r, &e, keep)
	}
	var no *refusal
	if errors.As(err, &no) {
		e.Rule, e.Reason, e.Retry = no.rule, no.reason, no.retry
		return e, nil
	}
	return e, err
}

// caption loads and cleans the caption.
func (a *Admission) caption(ctx context.Context, r Raw, e *Entry) error {
	if r.Problem == "" && r.CaptionFile.FS != nil {
		content, err := load(ctx, r.CaptionFile, maxCaptionFile, "caption")
		if err != nil {
			return err
		}
		r = r.caption(member{name: r.CaptionFile.Name, content: content}, r.Columns)
		e.License, e.URL = r.License, WithoutSecrets(r.URL)
	}
	if r.Problem != "" {
		e.Prompt = strings.ToValidUTF8(r.Caption, "\ufffd")
		return refuse(r.Rule, "%s", r.Problem)
	}
	prompt, notes, problem := cleanCaption([]byte(r.Caption), a.o.Captions)
	e.Prompt, e.Notes = prompt, notes
	if problem != "" {
		return refuse("caption", "%s", problem)
	}
	e.Language = language(prompt)
	return nil
}

// image loads the image, checks it, and keeps it.
func (a *Admission) image(ctx context.Context, r Raw, e *Entry, keep func(context.Context, Entry, []byte) error) error {
	encoded, err := a.load(ctx, r)
	if err != nil {
		return err
	}
	info, err := a.inspect(encoded, r.Name)
	if err != nil {
		return err
	}
	release, err := a.memory.Take(ctx, a.held(info)...)
	if err != nil {
		return err
	}
	defer release()
	wrong := ""
	for _, t := range info.Traits() {
		if t.Effect == images.Wrong {
			wrong = t.Makes
		}
		if t.Effect == images.Slight {
			e.Notes = append(e.Notes, t.Name)
		}
	}
	if wrong != "" {
		if a.o.Images.Reencode == ReencodeNever {
			return refuse("image", "%s Set `ingest.images.reencode` to %s, or encode it anew", wrong, ReencodeWrong)
		}
		original := irgdata.DigestOf(encoded)
		var notes []string
		if encoded, notes, err = a.reencode(encoded, info); err != nil {
			return refuse("image", "the image does not decode to its end: %v", err)
		}
		e.Notes = append(append(e.Notes, notes...), "encoded anew from sha256 "+original.String())
	}
	img, err := images.Decode(encoded)
	if err != nil { // a download may have been cut
		return &refusal{"image", fmt.Sprintf("the image does not decode to its end: %v", err), r.Download != ""}
	}
	e.Hash, e.Quality = pdq.Hash(img)
	if e.Image, err = images.Probe(encoded); err != nil {
		return refuse("image", "%v", err)
	}
	return keep(ctx, *e, encoded)
}

// inspect checks all that the header of an image says, before anything is
// decoded.
func (a *Admission) inspect(encoded []byte, name string) (images.Info, error) {
	info, err := images.Inspect(encoded, name)
	if err != nil {
		return info, refuse("image", "%v", err)
	}
	shorter, longer := min(info.Width, info.Height), max(info.Width, info.Height)
	switch o := a.o.Images; {
	case info.Extension != "" && !o.AnyExtension:
		return info, refuse("extension", "its name promises %s and it is %s: rename it, or set `ingest.images.any_extension`", info.Extension, info.Format)
	case shorter < o.MinSide:
		return info, refuse("size", "it has %d×%d pixels, want at least %d on its shorter side", info.Width, info.Height, o.MinSide)
	case float64(longer) > o.MaxAspect*float64(shorter):
		return info, refuse("aspect", "it has %d×%d pixels, want its longer side at most %v times the shorter", info.Width, info.Height, o.MaxAspect)
	}
	if err := a.memory.Fits(a.held(info)...); err != nil {
		return info, refuse("image", "%v", err)
	}
	return info, nil
}

// held is what decoding the image holds at one time; encoding anew holds it
// twice.
func (a *Admission) held(info images.Info) []irgdata.ImageRef {
	ref := irgdata.ImageRef{Width: info.Width, Height: info.Height}
	if a.o.Images.Reencode == ReencodeNever {
		return []irgdata.ImageRef{ref}
	}
	return []irgdata.ImageRef{ref, ref}
}

// reencode encodes what a person sees in the image.
func (a *Admission) reencode(encoded []byte, info images.Info) ([]byte, []string, error) {
	pixels, err := images.Pixels(encoded)
	if err != nil {
		return nil, nil, err
	}
	as := images.Encoding{Format: irgdata.FormatPNG}
	if info.Format == irgdata.FormatJPEG || info.Format == irgdata.FormatWebP {
		as = images.Encoding{Format: irgdata.FormatJPEG, Quality: a.o.Images.Quality}
	}
	return images.Reencode(pixels, info, as)
}

// ruleDownload is the rule of images that could not be had.
const ruleDownload = "download"

// load gives the image's bytes, wherever they are.
func (a *Admission) load(ctx context.Context, r Raw) ([]byte, error) {
	switch {
	case r.File.FS != nil:
		return load(ctx, r.File, maxFileBytes, "image")
	case r.Download == "":
		return r.Encoded, nil
	case a.fetch == nil:
		return nil, &refusal{irgdata.RulePending, "it has yet to be downloaded", true}
	}
	got, err := a.fetch.Get(ctx, r.Download)
	var failure *fetch.Error
	if errors.As(err, &failure) {
		return nil, &refusal{ruleDownload, fmt.Sprintf("%s: %s", failure.URL, failure.Reason), failure.Kind != fetch.Permanent}
	}
	return got.Bytes, err
}

// load reads a file. One that cannot be read is a matter of its item, unless
// its place cannot be read at all, such as a bucket out of reach: that is the
// error of the run.
func load(ctx context.Context, f File, limit int64, rule string) ([]byte, error) {
	if f.version.IsZero() { // nobody has looked at it: opening a pipe would hang
		if info, err := fs.Stat(f.FS, f.Name); err == nil && !info.Mode().IsRegular() {
			return nil, refuse(rule, "%s is no regular file", f.Name)
		}
	}
	b, err := readFile(f.FS, f.Name, limit)
	var local syscall.Errno
	var remote net.Error
	switch {
	case err == nil:
		return b, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, fs.ErrNotExist):
		return nil, refuse(rule, "there is no file %s", f.Name)
	case errors.Is(err, errTooLarge), errors.Is(err, fs.ErrInvalid):
		return nil, refuse(rule, "%v", err)
	case errors.As(err, &local) && !errors.As(err, &remote):
		return nil, &refusal{rule, err.Error(), true}
	}
	return nil, err
}

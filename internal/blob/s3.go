package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/irgdata/irgdata/internal/flow"
)

// partSize is the size of the parts of a multipart upload, and the largest
// body that goes up in one request. The 10,000 parts that S3 takes bound an object
// to 80 GiB.
const partSize = 8 << 20

// partsAtOnce go up at one time, while the next is read: a multipart upload holds
// one more in memory.
const partsAtOnce = 2

// answerTimeout is how long a server may take to begin its answer.
const answerTimeout = time.Minute

// S3Options say where a bucket is. Credentials come from the SDK's own chain
// (environment, shared files, instance role), never from here.
type S3Options struct {
	Bucket string
	Prefix string // without slashes at its ends; may be empty
	// Endpoint is the URL of a server other than AWS; empty means AWS.
	Endpoint string
	// Region overrides that of the SDK's chain.
	Region string
	// PathStyle puts the bucket into the path instead of the host name.
	PathStyle bool
}

// S3 is a store in a bucket of S3 or a server that speaks its protocol,
// conditional writes (If-None-Match) included.
type S3 struct {
	client *s3.Client
	o      S3Options
}

// NewS3 opens the store and asks the bucket whether it can be reached, so that
// a mistake shows at once.
func NewS3(ctx context.Context, o S3Options) (*S3, error) {
	cfg, err := config.LoadDefaultConfig(ctx, func(l *config.LoadOptions) error {
		if o.Region != "" {
			l.Region = o.Region
		}
		l.HTTPClient = awshttp.NewBuildableClient().
			WithDialerOptions(func(d *net.Dialer) { d.Timeout = 10 * time.Second }).
			WithTransportOptions(func(t *http.Transport) { t.ResponseHeaderTimeout = answerTimeout })
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open s3://%s: load the AWS configuration: %w", o.Bucket, err)
	}
	if cfg.Region == "" {
		if o.Endpoint == "" {
			return nil, fmt.Errorf("open s3://%s: no region is set: set `region` in the configuration or AWS_REGION", o.Bucket)
		}
		cfg.Region = "us-east-1" // servers other than AWS want some region in the signature
	}
	s := &S3{o: o, client: s3.NewFromConfig(cfg, func(c *s3.Options) {
		if o.Endpoint != "" {
			c.BaseEndpoint = aws.String(o.Endpoint)
		}
		c.UsePathStyle = o.PathStyle
		// A range has no checksum to validate; readers check digests of ours.
		c.DisableLogOutputChecksumValidationSkipped = true
	})}
	// A list asks for more than HeadBucket, whose refusals have no body to
	// tell one cause from another.
	_, err = s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &o.Bucket, MaxKeys: aws.Int32(1), Prefix: aws.String(s.key(""))})
	if err != nil {
		return nil, s.explain("open", "", err)
	}
	return s, nil
}

func (s *S3) key(key string) string {
	if s.o.Prefix == "" {
		return key
	}
	return s.o.Prefix + "/" + key
}

// URL is the object's s3:// address.
func (s *S3) URL(key string) string { return "s3://" + s.o.Bucket + "/" + s.key(key) }

// Put implements [Store]. A body of up to 8 MiB is one request, a longer one a
// multipart upload, which is aborted if it cannot be completed.
func (s *S3) Put(ctx context.Context, key string, body io.Reader, o PutOptions) error {
	if err := checkKey(key); err != nil {
		return err
	}
	check := newChecked(contextReader{ctx, body}, o)
	size := partSize
	if o.Size > 0 && o.Size < partSize {
		size = int(o.Size) + 1 // one more, to see the end
	}
	part := make([]byte, size)
	n, err := io.ReadFull(check, part)
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		if err := check.verify(o); err != nil {
			return fmt.Errorf("put %s: %w", s.URL(key), err)
		}
		in := &s3.PutObjectInput{Bucket: &s.o.Bucket, Key: aws.String(s.key(key)), Body: bytes.NewReader(part[:n]), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32}
		if o.CreateOnly {
			in.IfNoneMatch = aws.String("*")
		}
		for try := 1; ; try++ {
			in.Body = bytes.NewReader(part[:n])
			_, err := s.client.PutObject(ctx, in)
			if apiCode(err) == conflictCode && try < conflictTries {
				// Another put of the object is under way: it may come to
				// nothing yet, so it says nothing of what is there.
				continue
			}
			return s.explain("put", key, err)
		}
	case err != nil:
		return fmt.Errorf("put %s: %w", s.URL(key), err)
	case size < partSize:
		return fmt.Errorf("put %s: the body has more than %d bytes", s.URL(key), o.Size)
	}
	if o.CreateOnly {
		// Spares the upload; the condition of its completion decides.
		if _, err := s.Stat(ctx, key); err == nil {
			return fmt.Errorf("put %s: %w", s.URL(key), ErrExists)
		}
	}
	return s.putParts(ctx, key, bodyParts{first: part, body: check, free: make(chan []byte, partsAtOnce+1), from: body}, o)
}

// putParts uploads a body of several parts. It returns when nothing reads the body any
// more; one that is a pipe it closes when the upload fails.
func (s *S3) putParts(ctx context.Context, key string, parts bodyParts, o PutOptions) (err error) {
	upload, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &s.o.Bucket, Key: aws.String(s.key(key)), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
	})
	if err != nil {
		return s.explain("put", key, err)
	}
	defer func() {
		if err == nil {
			return
		}
		// Also when ctx is cancelled; a failure leaves the upload to Sweep.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		_, _ = s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.o.Bucket, Key: upload.Key, UploadId: upload.UploadId})
	}()
	refused := func(err error) error {
		if o.CreateOnly {
			// Aborted by the put that was completed first, which the server may say
			// by hanging up, or completed by a try whose answer was lost.
			if _, gone := s.Stat(ctx, key); gone == nil {
				return fmt.Errorf("put %s: %w", s.URL(key), ErrExists)
			}
		}
		return s.explain("put", key, err)
	}
	sent := flow.Map(ctx, parts.all, flow.Options{Workers: partsAtOnce, Window: partsAtOnce + 1}, func(ctx context.Context, p bodyPart) (types.CompletedPart, error) {
		defer func() { parts.free <- p.buffer }()
		sent, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &s.o.Bucket, Key: upload.Key, UploadId: upload.UploadId, PartNumber: aws.Int32(p.number),
			Body: bytes.NewReader(p.buffer[:p.size]), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
		})
		if err != nil {
			parts.stop(err)
			return types.CompletedPart{}, err
		}
		return types.CompletedPart{PartNumber: aws.Int32(p.number), ETag: sent.ETag, ChecksumCRC32: sent.ChecksumCRC32}, nil
	})
	var completed []types.CompletedPart
	for p, failed := range sent {
		if err = failed; err == nil {
			completed = append(completed, p)
		}
	}
	switch {
	case err != nil && err == parts.err: // else it came of the other one
		return fmt.Errorf("put %s: %w", s.URL(key), err)
	case err != nil:
		return refused(err)
	}
	if err := parts.body.verify(o); err != nil {
		return fmt.Errorf("put %s: %w", s.URL(key), err)
	}
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &s.o.Bucket, Key: upload.Key, UploadId: upload.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: completed},
	}
	if o.CreateOnly {
		in.IfNoneMatch = aws.String("*")
	}
	if _, err = s.client.CompleteMultipartUpload(ctx, in); err != nil {
		return refused(err)
	}
	if o.CreateOnly {
		s.abortOthers(ctx, aws.ToString(upload.Key))
	}
	return nil
}

// bodyParts cuts a body into parts.
type bodyParts struct {
	first []byte // is read already
	body  *checked
	from  io.Reader   // what it reads
	free  chan []byte // has room for all buffers
	err   error       // of reading; set before all ends
}

// stop ends the reading of a pipe, whose writer may have nothing more to say for a
// while: no part is needed any more. Other readers come to an end by themselves.
func (b *bodyParts) stop(err error) {
	if pipe, ok := b.from.(interface{ CloseWithError(error) error }); ok {
		_ = pipe.CloseWithError(err)
	}
}

type bodyPart struct {
	number int32
	buffer []byte
	size   int // of the part, in the buffer
}

// all yields the parts, whose buffers come back by free. One goroutine ranges over
// it, once.
func (b *bodyParts) all(yield func(bodyPart, error) bool) {
	p := bodyPart{number: 1, buffer: b.first, size: len(b.first)}
	for yield(p, nil) && p.size == len(p.buffer) {
		p.number++
		select {
		case p.buffer = <-b.free:
		default:
			p.buffer = make([]byte, partSize)
		}
		if p.size, b.err = io.ReadFull(b.body, p.buffer); b.err == io.EOF || b.err == io.ErrUnexpectedEOF {
			b.err = nil
		}
		if b.err != nil {
			yield(bodyPart{}, b.err)
			return
		}
		if p.size == 0 {
			return
		}
	}
}

// abortOthers aborts the uploads of a key that is taken now: none of them can be
// completed. One that a killed process left is aborted here, when the next one
// puts the same object. A failure leaves them to Sweep.
func (s *S3) abortOthers(ctx context.Context, key string) {
	list, err := s.client.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &s.o.Bucket, Prefix: aws.String(key)})
	if err != nil {
		return
	}
	for _, u := range list.Uploads {
		if aws.ToString(u.Key) == key {
			_, _ = s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.o.Bucket, Key: u.Key, UploadId: u.UploadId})
		}
	}
}

// Open implements [Store].
func (s *S3) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	o, err := s.Stat(ctx, key)
	if err != nil {
		return nil, err
	}
	if offset < 0 || offset > o.Size {
		return nil, fmt.Errorf("open %s: offset %d is outside of its %d bytes", s.URL(key), offset, o.Size)
	}
	if length < 0 || offset+length > o.Size {
		length = o.Size - offset
	}
	if length == 0 {
		return io.NopCloser(strings.NewReader("")), nil // a range cannot be empty
	}
	got, err := s.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &s.o.Bucket, Key: aws.String(s.key(key)), Range: aws.String(fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)),
	})
	if err != nil {
		return nil, s.explain("open", key, err)
	}
	return got.Body, nil
}

// Stat implements [Store].
func (s *S3) Stat(ctx context.Context, key string) (Object, error) {
	if err := checkKey(key); err != nil {
		return Object{}, err
	}
	in := &s3.HeadObjectInput{Bucket: &s.o.Bucket, Key: aws.String(s.key(key))}
	head, err := s.client.HeadObject(ctx, in)
	if statusOf(err) == http.StatusForbidden {
		// It has no body to say that the clocks differ, of which the SDK would
		// take account; by its date the SDK knows now by how much.
		head, err = s.client.HeadObject(ctx, in)
	}
	if err != nil {
		return Object{}, s.explain("stat", key, err)
	}
	return Object{Key: key, Size: aws.ToInt64(head.ContentLength), ModTime: aws.ToTime(head.LastModified)}, nil
}

// List implements [Store]. It holds one page of a thousand names.
func (s *S3) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.o.Bucket, Prefix: aws.String(s.key(prefix))})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Object{}, s.explain("list", prefix, err))
				return
			}
			for _, o := range page.Contents {
				if strings.HasSuffix(aws.ToString(o.Key), "/") {
					continue // a folder marker of some browser
				}
				key := strings.TrimPrefix(aws.ToString(o.Key), s.key(""))
				if !yield(Object{Key: key, Size: aws.ToInt64(o.Size), ModTime: aws.ToTime(o.LastModified)}, nil) {
					return
				}
			}
		}
	}
}

// Delete implements [Store].
func (s *S3) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.o.Bucket, Key: aws.String(s.key(key))})
	if err = s.explain("delete", key, err); errors.Is(err, ErrNotExist) {
		return nil
	}
	return err
}

// Sweep implements [Store]: it aborts the multipart uploads begun longer than
// age ago, by the clock of the server: one that is ahead here would abort those that
// others have just begun.
func (s *S3) Sweep(ctx context.Context, age time.Duration) (int, error) {
	swept := 0
	pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{Bucket: &s.o.Bucket, Prefix: aws.String(s.key(""))})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return swept, s.explain("sweep", "", err)
		}
		now, ok := awsmiddleware.GetServerTime(page.ResultMetadata)
		if !ok {
			now = time.Now()
		}
		now = now.Add(time.Second) // it comes in whole seconds
		for _, u := range page.Uploads {
			if aws.ToTime(u.Initiated).After(now.Add(-age)) {
				continue
			}
			if _, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.o.Bucket, Key: u.Key, UploadId: u.UploadId}); err != nil {
				return swept, s.explain("sweep", aws.ToString(u.Key), err)
			}
			swept++
		}
	}
	return swept, nil
}

const (
	// conflictCode is S3's word for a conditional put that met another one.
	conflictCode  = "ConditionalRequestConflict"
	conflictTries = 5
)

// apiCode is the server's word for what is wrong, or empty.
func apiCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// statusOf is the status of the answer that err came with, or 0.
func statusOf(err error) int {
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

// explain turns an error of the SDK into one sentence that says what to do. It
// gives nil for nil.
func (s *S3) explain(op, key string, err error) error {
	if err == nil {
		return nil
	}
	say := func(format string, args ...any) error {
		return fmt.Errorf("%s %s: %s", op, s.URL(key), fmt.Sprintf(format, args...))
	}
	code, status := apiCode(err), statusOf(err)
	switch {
	case code == conflictCode:
		return say("another put of the same object is under way: try again")
	case code == "PreconditionFailed" || status == http.StatusPreconditionFailed:
		return fmt.Errorf("%s %s: %w", op, s.URL(key), ErrExists)
	case code == "NoSuchBucket":
		return say("there is no bucket %q: make it first, or mend its name", s.o.Bucket)
	case code == "NoSuchKey" || code == "NotFound":
		return fmt.Errorf("%s %s: %w", op, s.URL(key), ErrNotExist)
	case code == "InvalidAccessKeyId" || code == "SignatureDoesNotMatch" || code == "InvalidToken" || code == "ExpiredToken" || code == "XAdminUserNotFound": // the last is versitygw's
		return say("the server does not accept the credentials (%s): check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile in use", code)
	case code == "AuthorizationHeaderMalformed" || code == "PermanentRedirect" || code == "IllegalLocationConstraintException" || status == http.StatusMovedPermanently:
		return say("the bucket is not in region %q: set `region` to that of the bucket", s.client.Options().Region)
	case code == "RequestTimeTooSkewed":
		return say("the clock of this machine is not that of the server: set it")
	case code == "AccessDenied" || status == http.StatusForbidden:
		return say("access is denied: these credentials lack the right to read, list and write the bucket")
	}
	var dns *net.DNSError
	var dial *net.OpError
	if errors.As(err, &dns) || errors.As(err, &dial) {
		at := s.o.Endpoint
		if at == "" {
			at = "AWS"
		}
		return fmt.Errorf("%s %s: the endpoint %s cannot be reached: check `endpoint` and the network: %w", op, s.URL(key), at, err)
	}
	if strings.Contains(err.Error(), "failed to retrieve credentials") || strings.Contains(err.Error(), "no EC2 IMDS role found") || strings.Contains(err.Error(), "failed to refresh cached credentials") {
		return say("no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE")
	}
	return fmt.Errorf("%s %s: %w", op, s.URL(key), err)
}

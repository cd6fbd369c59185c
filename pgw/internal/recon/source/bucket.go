package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/mpac-cloud/mpac/pgw/internal/recon/format"
	"github.com/mpac-cloud/mpac/platform/failpoint"
)

// bucketScheme begins the address of a place in S3: s3://bucket/folder.
const bucketScheme = "s3://"

// InBucket says whether a source is in S3.
func InBucket(source string) bool { return strings.HasPrefix(source, bucketScheme) }

// fetchTimeout is the longest that one file may take; a day of 80 million lines is some 12 GB.
const fetchTimeout = 30 * time.Minute

// Mirror brings a day's settlement files from S3 into a folder, where Folder finds them. What is there already, unchanged, is not
// fetched again. The bucket keeps the files as received; nothing is written to it.
func Mirror(ctx context.Context, client *s3.Client, source, day, dir string) error {
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(source, bucketScheme), "/")
	if bucket == "" {
		return errors.New("source: an address in S3 is s3://bucket/folder")
	}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	// Only the folder itself: what lies deeper is not for the matcher.
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: aws.String(bucket), Prefix: aws.String(prefix), Delimiter: aws.String("/")})
	for pages.HasMorePages() {
		failpoint.Hit("recon.list.before")
		page, err := pages.NextPage(ctx)
		failpoint.Hit("recon.list.after")
		if err != nil {
			return fmt.Errorf("source: list s3://%s/%s: %w", bucket, prefix, err)
		}
		for _, object := range page.Contents {
			if !ofDay(path.Base(aws.ToString(object.Key)), day) {
				continue
			}
			if err := fetch(ctx, client, bucket, object, dir); err != nil {
				return fmt.Errorf("source: s3://%s/%s: %w", bucket, aws.ToString(object.Key), err)
			}
		}
	}
	return nil
}

func ofDay(name, day string) bool {
	for _, f := range format.All {
		if n, ok, err := f.ParseName(name); ok && err == nil && n.Day == day {
			return true
		}
	}
	return false
}

// fetch writes an object beside its place and moves it there, so that a file that is there is whole.
func fetch(ctx context.Context, client *s3.Client, bucket string, object types.Object, dir string) error {
	place := filepath.Join(dir, path.Base(aws.ToString(object.Key)))
	written := aws.ToTime(object.LastModified)
	if info, err := os.Stat(place); err == nil && info.Size() == aws.ToInt64(object.Size) && info.ModTime().Equal(written) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	failpoint.Hit("recon.get.before")
	answer, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: object.Key})
	failpoint.Hit("recon.get.after")
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	file, err := os.CreateTemp(dir, ".fetching-*")
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // gone already when all went well
	_, err = io.Copy(file, answer.Body)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Chtimes(file.Name(), written, written); err != nil {
		return fmt.Errorf("%w", err)
	}
	return os.Rename(file.Name(), place) //nolint:wrapcheck // it names both places
}

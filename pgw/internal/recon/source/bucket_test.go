package source_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/mpac-cloud/mpac/pgw/internal/recon/source"
	"github.com/mpac-cloud/mpac/platform/clock"
)

// fakeBucket serves a map of keys to texts as S3 does, and counts what is fetched.
func fakeBucket(t *testing.T, objects map[string]string) (client *s3.Client, fetched *atomic.Int32) {
	t.Helper()
	fetched = &atomic.Int32{}
	type object struct {
		Key, LastModified string
		Size              int
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := strings.TrimPrefix(r.URL.Path, "/settlement/")
		if r.URL.Query().Get("list-type") != "2" {
			fetched.Add(1)
			_, _ = fmt.Fprint(w, objects[key])
			return
		}
		prefix := r.URL.Query().Get("prefix")
		out := struct {
			XMLName     xml.Name `xml:"ListBucketResult"`
			IsTruncated bool
			Contents    []object
		}{}
		for k, text := range objects {
			if rest, ok := strings.CutPrefix(k, prefix); ok && !strings.Contains(rest, "/") {
				out.Contents = append(out.Contents, object{k, "2026-11-21T17:30:00.000Z", len(text)})
			}
		}
		_ = xml.NewEncoder(w).Encode(out)
	}))
	t.Cleanup(server.Close)
	return s3.New(s3.Options{
		Region: "ap-northeast-1", BaseEndpoint: aws.String(server.URL), UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "example", ""),
	}), fetched
}

func TestMirrorBringsTheDaysFiles(t *testing.T) {
	t.Parallel()
	const today = "PAYPAY_FILE_OF_THE_DAY"
	const day, name = "2026-11-21", "transaction_1_20261121000000_20261121235959_v2.csv"
	client, fetched := fakeBucket(t, map[string]string{
		"paypay/" + name: today, "paypay/readme.txt": "no settlement file", "paypay/older/" + name: "another folder's", name: "the root's",
	})
	dir := t.TempDir()
	for range 2 { // the second time nothing has changed
		if err := source.Mirror(context.Background(), client, "s3://settlement/paypay", day, dir); err != nil {
			t.Fatal(err)
		}
	}
	if n := fetched.Load(); n != 1 {
		t.Errorf("%d files were fetched, one is of the day and new", n)
	}
	found, err := source.Folder(dir, day, "", clock.System(0))
	if err != nil || len(found.Files) != 1 || found.Files[0].Name != name {
		t.Fatalf("found %+v (%v)", found, err)
	}
	text, err := os.ReadFile(path.Join(dir, name))
	if err != nil || string(text) != today {
		t.Errorf("the file holds %q (%v)", text, err)
	}
	if got, want := found.Files[0].ReceivedAt, time.Date(2026, 11, 21, 17, 30, 0, 0, time.UTC); got.Sub(want).Abs() > 2*time.Second {
		t.Errorf("received at %s, it was written at %s", got, want)
	}
	if err := source.Mirror(context.Background(), client, "s3://settlement/paypay", "2026-11-20", t.TempDir()); err != nil || fetched.Load() != 1 {
		t.Errorf("another day: %v, %d fetched", err, fetched.Load())
	}
	if err := source.Mirror(context.Background(), client, "s3:///x", day, dir); err == nil {
		t.Error("an address without a bucket must be refused")
	}
}

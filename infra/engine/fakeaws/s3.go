package fakeaws

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
)

type s3bucket struct {
	objects map[string][]byte
	tags    []byte
	set     map[string]string // what was configured: policy, versioning, ...
}

// Bucket is what was configured of a bucket; nil when there is none.
func (f *Fake) Bucket(name string) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b := f.buckets[name]; b != nil {
		return b.set
	}
	return nil
}

// Objects are the keys in a bucket.
func (f *Fake) Objects(name string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var keys []string
	if b := f.buckets[name]; b != nil {
		for key := range b.objects {
			keys = append(keys, key)
		}
	}
	return keys
}

// fetch reads an object by its address, as CloudFormation does with TemplateURL.
func (f *Fake) fetch(address string) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, refuse("ValidationError", "TemplateURL must be a supported URL.")
	}
	bucket, isS3 := strings.CutSuffix(u.Host, ".s3."+f.Region+".amazonaws.com")
	if !isS3 || u.Scheme != "https" {
		return nil, refuse("ValidationError", "TemplateURL must be a supported URL.")
	}
	b := f.buckets[bucket]
	if b == nil || b.objects[strings.TrimPrefix(u.Path, "/")] == nil {
		return nil, refuse("ValidationError", "S3 error: The specified key does not exist.")
	}
	return b.objects[strings.TrimPrefix(u.Path, "/")], nil
}

// serveS3 plays what bootstrap and the upload of templates need, by addresses of the path style.
func (f *Fake) serveS3(w http.ResponseWriter, r *http.Request) {
	name, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b := f.buckets[name]
	if b == nil {
		if r.Method == http.MethodPut && key == "" && r.URL.RawQuery == "" {
			f.buckets[name] = &s3bucket{objects: map[string][]byte{}, set: map[string]string{}}
			f.journal("bucket %s", name)
			w.WriteHeader(http.StatusOK)
			return
		}
		s3error(w, http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
		return
	}
	switch {
	case r.Method == http.MethodPut && key != "":
		b.objects[key] = decodeChunks(r, body)
	case r.Method == http.MethodPut && r.URL.RawQuery == "":
		s3error(w, http.StatusConflict, "BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it.")
	case r.Method == http.MethodPut && r.URL.Query().Has("tagging"):
		b.tags = body
	case r.Method == http.MethodPut:
		b.set[strings.TrimSuffix(r.URL.RawQuery, "=")] = string(body)
	case r.Method == http.MethodGet && key != "":
		if b.objects[key] == nil {
			s3error(w, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
			return
		}
		_, _ = w.Write(b.objects[key])
	case r.Method == http.MethodGet && r.URL.Query().Has("tagging"):
		if b.tags == nil {
			s3error(w, http.StatusNotFound, "NoSuchTagSet", "The TagSet does not exist")
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		_, _ = w.Write(b.tags)
	default:
		s3error(w, http.StatusNotImplemented, "NotImplemented", "fakeaws does not play this of S3: "+r.Method+" "+r.URL.String())
	}
}

// decodeChunks takes the chunks' frames away that the SDK sends a body with a trailing checksum in.
func decodeChunks(r *http.Request, body []byte) []byte {
	if !strings.Contains(r.Header.Get("Content-Encoding"), "aws-chunked") {
		return body
	}
	var out []byte
	rest := string(body)
	for {
		head, after, ok := strings.Cut(rest, "\r\n")
		if !ok {
			return out
		}
		size := 0
		for _, c := range strings.ToLower(strings.SplitN(head, ";", 2)[0]) {
			digit := strings.IndexRune("0123456789abcdef", c)
			size = size*16 + digit
		}
		if size <= 0 || size > len(after) {
			return out
		}
		out = append(out, after[:size]...)
		rest = strings.TrimPrefix(after[size:], "\r\n")
	}
}

func s3error(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	var b strings.Builder
	b.WriteString(xml.Header)
	branch("Error", leaf("Code", code), leaf("Message", message)).write(&b)
	_, _ = w.Write([]byte(b.String()))
}

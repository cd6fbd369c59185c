package settlement

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
)

// linkLife is how long a file's address in a file.created webhook can be used.
const linkLife = 2 * time.Hour

// Links gives files addresses that need no further authentication and end after two hours, as PayPay's do. They end with
// the process, too.
type Links struct {
	writer *Writer
	base   string
	now    func() time.Time
	key    []byte
}

// NewLinks makes links below the address base, such as http://127.0.0.1:8091.
func NewLinks(w *Writer, base string, now func() time.Time) *Links {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // crypto/rand does not fail
	return &Links{writer: w, base: base, now: now, key: key}
}

// Mount serves the addresses.
func (l *Links) Mount(engine *gin.Engine) { engine.GET("/files/:name", l.get) }

// URL is the address of a file from now on.
func (l *Links) URL(name string) string {
	expires := strconv.FormatInt(l.now().Add(linkLife).Unix(), 10)
	query := url.Values{"expires": {expires}, "signature": {l.sign(name, expires)}}
	return l.base + "/files/" + url.PathEscape(name) + "?" + query.Encode()
}

func (l *Links) sign(name, expires string) string {
	h := hmac.New(sha256.New, l.key)
	h.Write([]byte(name + "\n" + expires))
	return hex.EncodeToString(h.Sum(nil))
}

func (l *Links) get(c *gin.Context) {
	name, expires := c.Param("name"), c.Query("expires")
	until, err := strconv.ParseInt(expires, 10, 64)
	if err != nil || !hmac.Equal([]byte(l.sign(name, expires)), []byte(c.Query("signature"))) || l.now().Unix() > until {
		c.Status(http.StatusForbidden)
		return
	}
	content, err := l.writer.Read(name)
	if err != nil {
		c.Status(http.StatusNotFound)
		return
	}
	c.Data(http.StatusOK, "text/csv; charset=Shift_JIS", content)
}

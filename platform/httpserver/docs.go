package httpserver

import (
	"bytes"
	"compress/gzip"
	"embed"
	"html/template"
	"io"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// Swagger UI, vendored: the page works without any outside request. Its files are kept gzipped, as they are sent.
//
//go:embed docspage
var docsFiles embed.FS

// docsRoutes serves /docs, a page that shows /openapi.json. Addresses in it are relative, so it also works under a prefix
// (/portal/docs behind the gateway).
func docsRoutes(engine *gin.Engine, title string) error {
	page, err := template.ParseFS(docsFiles, "docspage/index.html")
	if err != nil {
		return err
	}
	var html bytes.Buffer
	if err := page.Execute(&html, title); err != nil {
		return err
	}
	engine.GET("/docs", func(c *gin.Context) {
		c.Header("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:")
		c.Data(http.StatusOK, "text/html; charset=utf-8", html.Bytes())
	})
	engine.GET("/docs/:file", docsFile)
	return nil
}

var docsTypes = map[string]string{
	"swagger-ui.css": "text/css; charset=utf-8", "swagger-ui-bundle.js": "text/javascript; charset=utf-8", "start.js": "text/javascript; charset=utf-8",
}

func docsFile(c *gin.Context) {
	name := c.Param("file")
	kind, known := docsTypes[name]
	if !known {
		notFound(c)
		return
	}
	if plain, err := docsFiles.ReadFile("docspage/" + name); err == nil {
		c.Data(http.StatusOK, kind, plain)
		return
	}
	zipped, err := docsFiles.ReadFile("docspage/" + name + ".gz")
	if err != nil {
		notFound(c)
		return
	}
	c.Header("Cache-Control", "public, max-age=3600")
	if strings.Contains(c.GetHeader("Accept-Encoding"), "gzip") {
		c.Header("Content-Encoding", "gzip")
		c.Data(http.StatusOK, kind, zipped)
		return
	}
	r, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		notFound(c)
		return
	}
	c.Status(http.StatusOK)
	c.Header("Content-Type", kind)
	_, _ = io.Copy(c.Writer, r) //nolint:gosec // our own file
}

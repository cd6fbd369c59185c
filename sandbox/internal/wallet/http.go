package wallet

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mpac-cloud/mpac/sandbox/internal/books"
)

//go:embed page.html wallet.css
var assets embed.FS

var pages = template.Must(template.ParseFS(assets, "page.html"))

// Wallet serves the pages.
type Wallet struct{ Books *books.Books }

// shownCodes is how many open codes the list shows.
const shownCodes = 50

// Mount puts the pages on the router.
func (w *Wallet) Mount(engine *gin.Engine) {
	engine.GET("/", w.codes)
	engine.GET("/wallet/:codeId", w.show)
	engine.POST("/wallet/:codeId/pay", w.pay)
	engine.POST("/wallet/:codeId/decline", w.decline)
	engine.GET("/wallet/assets/wallet.css", func(c *gin.Context) {
		css, err := assets.ReadFile("wallet.css")
		if err != nil {
			c.Status(http.StatusNotFound)
			return
		}
		c.Header("Cache-Control", "max-age=3600")
		c.Data(http.StatusOK, "text/css; charset=utf-8", css)
	})
}

// page is what the templates show.
type page struct {
	Words                                             words
	Title, State, Tone, Sign                          string
	CodeID, Brand, Store, Number, Description, Amount string
	Expires, ExpiresISO                               string
	Redirect                                          string
	Reasons                                           []string
	Codes                                             []page
}

func (w *Wallet) show(c *gin.Context) {
	l := language(c.Query("lang"), c.GetHeader("Accept-Language"))
	o, err := w.Books.Order(books.Ref{CodeID: c.Param("codeId")})
	if err != nil {
		render(c, http.StatusNotFound, "code", page{Words: l, Title: l.States[stateUnknown], State: stateUnknown})
		return
	}
	p := w.page(o, l)
	if p.State == statePaid || p.State == stateReserved {
		p.Redirect = webLink(o.RedirectURL)
	}
	render(c, http.StatusOK, "code", p)
}

func (w *Wallet) page(o books.Order, l words) page {
	m, _ := w.Books.Merchant(o.MerchantID)
	p := page{
		Words: l, State: state(o, w.Books.Now()), CodeID: o.Code.ID, Brand: m.Brand, Store: o.StoreInfo, Number: o.MerchantPaymentID,
		Description: o.Description, Amount: yen(o.Amount), Expires: clock(o.Code.ExpiresAt), ExpiresISO: o.Code.ExpiresAt.Format(time.RFC3339),
		Reasons: reasons, Title: l.Wallet + " ¥" + yen(o.Amount) + " " + m.Brand, Tone: "bad", Sign: "✕",
	}
	if p.State == statePaid || p.State == stateReserved || p.State == stateRefunded {
		p.Tone, p.Sign = "good", "✓"
	}
	return p
}

// webLink lets no address through that is not a page's.
func webLink(address string) string {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return ""
	}
	return address
}

func (w *Wallet) pay(c *gin.Context) {
	_, err := w.Books.Pay(books.Ref{CodeID: c.Param("codeId")})
	w.done(c, err)
}

func (w *Wallet) decline(c *gin.Context) {
	reason := c.PostForm("reason")
	if !slices.Contains(reasons, reason) {
		reason = reasons[0]
	}
	_, err := w.Books.Decline(books.Ref{CodeID: c.Param("codeId")}, reason, false)
	w.done(c, err)
}

// done shows the code as it is now: whatever came in between, the page tells it.
func (w *Wallet) done(c *gin.Context, err error) {
	var refusal books.Refusal
	if err != nil && !errors.As(err, &refusal) && !errors.Is(err, books.ErrUnknown) {
		slog.Error("wallet", "error", err)
		c.Status(http.StatusInternalServerError)
		return
	}
	l := language(c.Query("lang"), c.GetHeader("Accept-Language"))
	c.Redirect(http.StatusSeeOther, "/wallet/"+url.PathEscape(c.Param("codeId"))+"?lang="+l.Lang)
}

// codes lists what waits for payment, for people without a camera.
func (w *Wallet) codes(c *gin.Context) {
	l := language(c.Query("lang"), c.GetHeader("Accept-Language"))
	orders, err := w.Books.Orders()
	if err != nil {
		c.Status(http.StatusInternalServerError)
		return
	}
	p := page{Words: l, Title: l.Codes}
	for _, o := range slices.Backward(orders) {
		if o.Code == nil || state(o, w.Books.Now()) != stateOpen {
			continue
		}
		p.Codes = append(p.Codes, w.page(o, l))
		if len(p.Codes) == shownCodes {
			break
		}
	}
	render(c, http.StatusOK, "codes", p)
}

func render(c *gin.Context, status int, name string, p page) {
	var out bytes.Buffer
	if err := pages.ExecuteTemplate(&out, name, p); err != nil {
		slog.Error("wallet: page", "error", err)
		c.Status(http.StatusInternalServerError)
		return
	}
	h := c.Writer.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Language")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	c.Data(status, "text/html; charset=utf-8", out.Bytes())
}

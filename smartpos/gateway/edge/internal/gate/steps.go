package gate

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/smartpos/gateway/internal/kong"
)

// processID begins the ids of generator uuid#counter.
var processID = uuid.NewString()

var processCount atomic.Int64

func correlation(conf *kong.CorrelationID) Step {
	return func(x *Exchange) bool {
		x.ID = x.Request.Header.Get(conf.HeaderName)
		if x.ID == "" {
			x.ID = uuid.NewString()
			if conf.Generator == "uuid#counter" {
				x.ID = fmt.Sprintf("%s#%d", processID, processCount.Add(1))
			}
			x.Request.Header.Set(conf.HeaderName, x.ID)
		}
		if conf.EchoDownstream {
			x.Answer.Set(conf.HeaderName, x.ID)
		}
		return true
	}
}

// cors answers preflights and prepares the headers of other answers.
func cors(conf *kong.CORS) Step {
	origins := compileOrigins(conf.Origins)
	return func(x *Exchange) bool {
		r := x.Request
		origin := r.Header.Get("Origin")
		preflight := r.Method == http.MethodOptions && origin != "" && r.Header.Get("Access-Control-Request-Method") != ""
		if preflight && conf.PreflightContinue || origin == "" {
			return true
		}
		origins.allow(x, conf.Credentials, origin)
		if !preflight {
			if len(conf.ExposedHeaders) > 0 {
				x.Answer.Set("Access-Control-Expose-Headers", strings.Join(conf.ExposedHeaders, ","))
			}
			return true
		}
		headers := strings.Join(conf.Headers, ",")
		if headers == "" {
			headers = r.Header.Get("Access-Control-Request-Headers")
		}
		if headers != "" {
			x.Answer.Set("Access-Control-Allow-Headers", headers)
		}
		x.Answer.Set("Access-Control-Allow-Methods", strings.Join(conf.Methods, ","))
		if conf.MaxAge != nil {
			x.Answer.Set("Access-Control-Max-Age", strconv.Itoa(*conf.MaxAge))
		}
		if conf.PrivateNetwork && r.Header.Get("Access-Control-Request-Private-Network") == "true" {
			x.Answer.Set("Access-Control-Allow-Private-Network", "true")
		}
		return x.Exit(http.StatusOK, nil)
	}
}

type allowedOrigins struct {
	any    bool
	single string // the one plain origin: answered whoever asks, as in Kong
	list   []*regexp.Regexp
	byHost []bool
}

var plainOrigin = regexp.MustCompile(`^[A-Za-z0-9.:/-]+$`)

func compileOrigins(origins []string) allowedOrigins {
	o := allowedOrigins{any: len(origins) == 0}
	if len(origins) == 1 && plainOrigin.MatchString(origins[0]) {
		o.single = origins[0]
	}
	for _, text := range origins {
		if text == "*" {
			o.any = true
			continue
		}
		expression := strings.TrimSuffix(strings.TrimPrefix(text, "^"), "$")
		if plainOrigin.MatchString(text) {
			expression = regexp.QuoteMeta(normalOrigin(text))
		}
		o.list = append(o.list, regexp.MustCompile("^(?:"+expression+")$")) // checked when the file was read
		o.byHost = append(o.byHost, !strings.Contains(text, ":"))
	}
	return o
}

func (o allowedOrigins) allow(x *Exchange, credentials bool, origin string) {
	set := x.Answer.Set
	if o.any {
		set("Access-Control-Allow-Origin", "*")
		if credentials {
			x.Varies = true
			set("Access-Control-Allow-Origin", origin)
			set("Access-Control-Allow-Credentials", "true")
		}
		return
	}
	x.Varies = true
	if credentials {
		set("Access-Control-Allow-Credentials", "true")
	}
	if o.single != "" {
		set("Access-Control-Allow-Origin", o.single)
		return
	}
	whole := normalOrigin(origin)
	for i, expression := range o.list {
		subject := whole
		if o.byHost[i] {
			subject = hostOf(origin)
		}
		if expression.MatchString(subject) {
			set("Access-Control-Allow-Origin", whole)
			return
		}
	}
}

// normalOrigin is an origin without a port that its scheme implies.
func normalOrigin(origin string) string {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return origin
	}
	host := u.Host
	if u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443" {
		host = u.Hostname()
	}
	return u.Scheme + "://" + host
}

func hostOf(origin string) string {
	if u, err := url.Parse(origin); err == nil && u.Host != "" {
		return u.Hostname()
	}
	return origin
}

// size refuses bodies above the limit: by Content-Length at once, else by reading up to the limit before anything is passed on.
func size(conf *kong.SizeLimiting) Step {
	most := conf.Bytes()
	return func(x *Exchange) bool {
		r := x.Request
		switch {
		case r.ContentLength > most:
			return tooLarge(x)
		case r.ContentLength >= 0 || r.Body == nil || r.Body == http.NoBody:
			return true
		case conf.RequireContentLength:
			return x.Exit(http.StatusLengthRequired, message{"A valid Content-Length header is required"})
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, most+1))
		if err != nil {
			return x.Fail(http.StatusBadRequest, "Bad request")
		}
		if int64(len(body)) > most {
			return tooLarge(x)
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		return true
	}
}

func tooLarge(x *Exchange) bool {
	status := http.StatusRequestEntityTooLarge
	if strings.EqualFold(strings.TrimSpace(x.Request.Header.Get("Expect")), "100-continue") {
		status = http.StatusExpectationFailed
	}
	return x.Exit(status, message{"Request size limit exceeded"})
}

package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/sandbox/internal/books"
	"github.com/mpac-cloud/mpac/sandbox/internal/fault"
	"github.com/mpac-cloud/mpac/sandbox/internal/paypay"
	"github.com/mpac-cloud/mpac/sandbox/internal/settlement"
	"github.com/mpac-cloud/mpac/sandbox/internal/webhook"
)

type list[T any] struct {
	Data       []T     `json:"data"`
	NextCursor *string `json:"next_cursor" doc:"Always null: the list is whole"`
}

// MerchantView is a merchant without its secret.
type MerchantView struct {
	ID         string         `json:"merchant_id"`
	Brand      string         `json:"brand"`
	APIKey     string         `json:"api_key"`
	WebhookURL string         `json:"webhook_url"`
	Settings   books.Settings `json:"settings"`
}

func viewMerchant(m books.Merchant) MerchantView {
	return MerchantView{m.ID, m.Brand, m.APIKey, m.WebhookURL, m.Settings}
}

// NewMerchant is what a merchant is made from.
type NewMerchant struct {
	ID         string        `json:"merchant_id" pattern:"^[A-Za-z0-9_-]{1,64}$" doc:"PayPay's are 18 digits"`
	APIKey     string        `json:"api_key" minLength:"1" maxLength:"255"`
	APISecret  string        `json:"api_secret" minLength:"1" maxLength:"255"`
	Brand      string        `json:"brand,omitempty" maxLength:"255" doc:"Shown to the payer"`
	WebhookURL string        `json:"webhook_url,omitempty" format:"uri" doc:"Default: that of the first merchant"`
	Settings   SettingsPatch `json:"settings,omitempty"`
}

func (c *Console) registerMerchants(api huma.API) {
	huma.Register(api, open("list-merchants", http.MethodGet, "/api/paypay/merchants", "Merchants", "List merchants"),
		func(context.Context, *struct{}) (*body[list[MerchantView]], error) { return answer(c.merchants()) })
	op := open("add-merchant", http.MethodPost, "/api/paypay/merchants", "Merchants", "Add a merchant with its key and secret")
	op.DefaultStatus = http.StatusCreated
	huma.Register(api, op, func(_ context.Context, in *struct{ Body NewMerchant }) (*body[MerchantView], error) {
		return answer(c.addMerchant(in.Body))
	})
	huma.Register(api, open("change-merchant", http.MethodPatch, "/api/paypay/merchants/{merchant_id}", "Merchants", "Change a merchant's settings"),
		func(_ context.Context, in *struct {
			ID   string `path:"merchant_id"`
			Body struct {
				Brand      *string       `json:"brand,omitempty" maxLength:"255"`
				WebhookURL *string       `json:"webhook_url,omitempty"`
				Settings   SettingsPatch `json:"settings,omitempty"`
			}
		},
		) (*body[MerchantView], error) {
			m, ok := c.Books.Merchant(in.ID)
			if !ok {
				return nil, problem.NotFound.New("there is no merchant %s", in.ID)
			}
			set(&m.Brand, in.Body.Brand)
			set(&m.WebhookURL, in.Body.WebhookURL)
			m.Settings = in.Body.Settings.apply(m.Settings)
			return answer(viewMerchant(m), c.Books.PutMerchant(m))
		})
}

func (c *Console) merchants() (list[MerchantView], error) {
	all, err := c.Books.Merchants()
	out := list[MerchantView]{Data: []MerchantView{}}
	for _, m := range all {
		out.Data = append(out.Data, viewMerchant(m))
	}
	return out, err
}

func (c *Console) addMerchant(in NewMerchant) (MerchantView, error) {
	all, err := c.Books.Merchants()
	if err != nil {
		return MerchantView{}, err
	}
	m := books.Merchant{
		ID: in.ID, APIKey: in.APIKey, APISecret: in.APISecret, Brand: cmp.Or(in.Brand, c.Usual.Brand),
		WebhookURL: cmp.Or(in.WebhookURL, c.Usual.WebhookURL), Settings: in.Settings.apply(c.Usual.Settings),
	}
	for _, known := range all {
		if known.APIKey == m.APIKey && known.APISecret != m.APISecret {
			return MerchantView{}, keyTaken.Field("api_key", "merchant %s has this key with another secret", known.ID)
		}
		if known.ID == m.ID && (known.APIKey != m.APIKey || known.APISecret != m.APISecret) {
			return MerchantView{}, keyTaken.Field("merchant_id", "there is a merchant %s with another key", m.ID)
		}
		if known.ID == m.ID { // again: what is given now holds
			m.Brand, m.WebhookURL = cmp.Or(in.Brand, known.Brand), cmp.Or(in.WebhookURL, known.WebhookURL)
			m.Settings = in.Settings.apply(known.Settings)
		}
	}
	return viewMerchant(m), c.Books.PutMerchant(m)
}

// NewFault is a fault as it is asked for.
type NewFault struct {
	Operation         string `json:"operation" enum:"create_code,delete_code,get_code_payment,get_payment,cancel,refund,get_refund,pay,preauthorize,capture,revert,webhook,any" doc:"pay is POST /v2/payments"`
	Kind              string `json:"kind" enum:"slow,timeout_after,error_before,error_after,rate_limit,refuse,drop_connection_before,drop_connection_after,webhook_before_answer,webhook_duplicate,webhook_drop,webhook_delay,webhook_forged"`
	Times             int    `json:"times,omitempty" minimum:"-1" doc:"How often; default once; -1: until removed"`
	DelayMS           int    `json:"delay_ms,omitempty" minimum:"0" maximum:"600000" doc:"Of slow (3000), timeout_after (past the client's deadline), webhook_delay (5000), webhook_duplicate (0)"`
	Code              string `json:"code,omitempty" doc:"Of refuse: the code PayPay is to answer, such as THROTTLED_MULTIPLE_REFUND_REJECTED"`
	MerchantID        string `json:"merchant_id,omitempty" doc:"Only calls of this merchant"`
	StoreID           string `json:"store_id,omitempty" doc:"Only calls about payments of this store"`
	MerchantPaymentID string `json:"merchant_payment_id,omitempty" doc:"Only calls about this payment"`
}

func (c *Console) registerFaults(api huma.API) {
	op := open("add-fault", http.MethodPost, "/api/faults", "Faults", "Let something go wrong")
	op.DefaultStatus = http.StatusCreated
	huma.Register(api, op, func(_ context.Context, in *struct{ Body NewFault }) (*body[fault.Fault], error) {
		return answer(c.addFault(in.Body))
	})
	huma.Register(api, open("list-faults", http.MethodGet, "/api/faults", "Faults", "What has yet to go wrong"),
		func(context.Context, *struct{}) (*body[list[fault.Fault]], error) {
			return answer(list[fault.Fault]{Data: append([]fault.Fault{}, c.Faults.List()...)}, nil)
		})
	op = open("clear-faults", http.MethodDelete, "/api/faults", "Faults", "Let nothing go wrong any more")
	huma.Register(api, op, func(context.Context, *struct{}) (*struct{}, error) {
		c.Faults.Clear()
		return nil, nil //nolint:nilnil // 204
	})
	huma.Register(api, open("remove-fault", http.MethodDelete, "/api/faults/{id}", "Faults", "Take one fault back"),
		func(_ context.Context, in *struct {
			ID int64 `path:"id"`
		},
		) (*struct{}, error) {
			if !c.Faults.Remove(in.ID) {
				return nil, problem.NotFound.New("there is no fault %d: it may have acted", in.ID)
			}
			return nil, nil //nolint:nilnil // 204
		})
	huma.Register(api, open("list-webhooks", http.MethodGet, "/api/webhooks", "Faults", "The webhooks sent, each with its attempts, the newest first"),
		func(_ context.Context, in *struct {
			MerchantPaymentID string `query:"merchant_payment_id"`
		},
		) (*body[list[webhook.Delivery]], error) {
			return answer(list[webhook.Delivery]{Data: c.Webhooks.Log(in.MerchantPaymentID)}, nil)
		})
}

func (c *Console) addFault(in NewFault) (fault.Fault, error) {
	f := fault.Fault{
		Operation: in.Operation, Kind: in.Kind, Times: in.Times, DelayMS: in.DelayMS, Code: in.Code, MerchantID: in.MerchantID,
		StoreID: in.StoreID, MerchantPaymentID: in.MerchantPaymentID,
	}
	if field, reason := f.Check(); field != "" {
		return f, problem.Validation.Field(field, "%s", reason)
	}
	if f.Code != "" && !paypay.Known(f.Code) {
		return f, problem.Validation.Field("code", "PayPay has no code %s", f.Code)
	}
	if f.Kind == fault.WebhookForged && f.MerchantPaymentID != "" {
		// The payment may be there already: then there is nothing to wait for.
		o, err := c.Books.Order(books.Ref{MerchantID: f.MerchantID, MerchantPaymentID: f.MerchantPaymentID})
		if err == nil {
			m, _ := c.Books.Merchant(o.MerchantID)
			c.Webhooks.Forge(m, o)
			f.Fired = 1
			return f, nil
		}
	}
	return c.Faults.Add(f), nil
}

// FileRequest asks for a settlement file.
type FileRequest struct {
	Date          string           `json:"date" format:"date" doc:"The day in Tokyo"`
	Until         *time.Time       `json:"until,omitempty" doc:"Cut the day at this instant; after the day's end: the whole day"`
	MerchantID    string           `json:"merchant_id,omitempty" doc:"Default: the first merchant"`
	Layout        string           `json:"layout,omitempty" enum:"instant,capture_later" default:"instant"`
	Notify        bool             `json:"notify,omitempty" doc:"Announce the file by a file.created webhook"`
	Discrepancies []DiscrepancyAsk `json:"discrepancies,omitempty"`
}

// DiscrepancyAsk is one way in which the file is to be wrong.
type DiscrepancyAsk struct {
	Kind              string `json:"kind" enum:"missing_line,extra_line,amount_differs,status_failed,status_succeeded,duplicate_line,refund_without_charge,unparsable_line,late"`
	MerchantPaymentID string `json:"merchant_payment_id,omitempty" doc:"Default: the first payment that fits and has no other discrepancy"`
	StoreID           string `json:"store_id,omitempty" doc:"Only payments of this store; of a made-up line, its store"`
	Amount            int64  `json:"amount,omitempty" doc:"amount_differs: yen to add (1). Made-up lines: what they say (1234)"`
}

// WrittenFile is the answer: the file and where it can be fetched.
type WrittenFile struct {
	settlement.File
	URL string `json:"url" doc:"Good for two hours, as in the webhook"`
}

type fileName struct {
	Name string `json:"name"`
}

func (c *Console) registerFiles(api huma.API) {
	op := open("write-settlement-file", http.MethodPost, "/api/paypay/settlement_files", "Settlement", "Write a day's settlement file")
	op.DefaultStatus = http.StatusCreated
	huma.Register(api, op, func(_ context.Context, in *struct{ Body FileRequest }) (*body[WrittenFile], error) {
		return answer(c.writeFile(in.Body))
	})
	huma.Register(api, open("list-settlement-files", http.MethodGet, "/api/paypay/settlement_files", "Settlement", "List the files written"),
		func(context.Context, *struct{}) (*body[list[fileName]], error) {
			names, err := c.Settlement.Names()
			out := list[fileName]{Data: []fileName{}}
			for _, n := range names {
				out.Data = append(out.Data, fileName{n})
			}
			return answer(out, err)
		})
	huma.Register(api, open("read-settlement-file", http.MethodGet, "/api/paypay/settlement_files/{name}", "Settlement", "The file itself, in Shift_JIS"),
		func(_ context.Context, in *struct {
			Name string `path:"name"`
		}) (*struct {
			ContentType string `header:"Content-Type"`
			Body        []byte
		}, error,
		) {
			content, err := c.Settlement.Read(in.Name)
			if errors.Is(err, settlement.ErrNoFile) {
				return nil, problem.NotFound.New("there is no settlement file %s", in.Name)
			}
			if err != nil {
				return nil, err
			}
			return &struct {
				ContentType string `header:"Content-Type"`
				Body        []byte
			}{"text/csv; charset=Shift_JIS", content}, nil
		})
}

func (c *Console) writeFile(in FileRequest) (WrittenFile, error) {
	r, err := c.fileRequest(in)
	if err != nil {
		return WrittenFile{}, err
	}
	file, err := c.Settlement.Write(r)
	var none *settlement.NoCandidateError
	if errors.As(err, &none) {
		return WrittenFile{}, noCandidate.New("%s", none.Error())
	}
	if err != nil {
		return WrittenFile{}, err
	}
	out := WrittenFile{File: file, URL: c.Links.URL(file.Name)}
	if in.Notify {
		err = c.Webhooks.FileCreated(r.Merchant, out.URL)
	}
	return out, err
}

func (c *Console) fileRequest(in FileRequest) (settlement.Request, error) {
	date, err := time.Parse(time.DateOnly, in.Date)
	if err != nil {
		return settlement.Request{}, problem.Validation.Field("date", "not a day")
	}
	merchants, err := c.Books.Merchants()
	if err != nil {
		return settlement.Request{}, err
	}
	m, ok := first(merchants, in.MerchantID, c.Usual.ID)
	if !ok {
		return settlement.Request{}, problem.Validation.Field("merchant_id", "there is no such merchant")
	}
	r := settlement.Request{Merchant: m, Layout: in.Layout, Date: date}
	if in.Until != nil {
		if day := settlement.Day(date, time.Time{}); in.Until.Before(day.From) {
			return r, problem.Validation.Field("until", "it lies before that day in Tokyo")
		}
		r.Until = *in.Until
	}
	for _, d := range in.Discrepancies {
		r.Discrepancies = append(r.Discrepancies, settlement.Ask(d))
	}
	return r, nil
}

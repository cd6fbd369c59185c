package paypay

import (
	"encoding/json"
	"errors"
	"net/url"

	"github.com/mpac-cloud/mpac/sandbox/internal/books"
)

type createCodeRequest struct {
	MerchantPaymentID   string       `json:"merchantPaymentId"`
	Amount              *moneyAmount `json:"amount"`
	CodeType            string       `json:"codeType"`
	OrderDescription    string       `json:"orderDescription"`
	OrderItems          []orderItem  `json:"orderItems"`
	StoreInfo           string       `json:"storeInfo"`
	StoreID             string       `json:"storeId"`
	TerminalID          string       `json:"terminalId"`
	ProductType         string       `json:"productType"`
	RequestedAt         int64        `json:"requestedAt"`
	IsAuthorization     bool         `json:"isAuthorization"`
	AuthorizationExpiry int64        `json:"authorizationExpiry"`
	RedirectURL         string       `json:"redirectUrl"`
	RedirectType        string       `json:"redirectType"`
}

func (r createCodeRequest) check() error {
	var c checks
	c.id(r.MerchantPaymentID)
	c.amount(r.Amount)
	c.required(r.CodeType)
	c.oneOf(r.CodeType, "ORDER_QR")
	c.text(r.OrderDescription, r.StoreInfo, r.StoreID, r.TerminalID)
	c.oneOf(r.ProductType, "VIRTUAL_BONUS_INVESTMENT", "PAY_LATER_REPAYMENT", "REAL_INVESTMENT", "UTILITY_BILL")
	c.oneOf(r.RedirectType, "WEB_LINK", "APP_DEEP_LINK", "WEBVIEW_IN_PAYPAY")
	c.items(r.OrderItems)
	return c.err()
}

type codeItem struct {
	orderItem
	UnitPrice *moneyAmount `json:"unit_price,omitempty"` // snake case here and nowhere else
}

type codeReply struct {
	CodeID              string      `json:"codeId"`
	URL                 string      `json:"url"`
	Deeplink            string      `json:"deeplink"`
	ExpiryDate          int64       `json:"expiryDate"`
	MerchantPaymentID   string      `json:"merchantPaymentId"`
	Amount              moneyAmount `json:"amount"`
	OrderDescription    string      `json:"orderDescription,omitempty"`
	OrderItems          []codeItem  `json:"orderItems,omitempty"`
	CodeType            string      `json:"codeType"`
	StoreInfo           string      `json:"storeInfo,omitempty"`
	StoreID             string      `json:"storeId,omitempty"`
	TerminalID          string      `json:"terminalId,omitempty"`
	ProductType         string      `json:"productType,omitempty"`
	RequestedAt         int64       `json:"requestedAt"`
	RedirectURL         string      `json:"redirectUrl,omitempty"`
	RedirectType        string      `json:"redirectType,omitempty"`
	IsAuthorization     bool        `json:"isAuthorization"`
	AuthorizationExpiry *int64      `json:"authorizationExpiry,omitempty"`
}

func (a *API) createCode(in *call) (reply, error) {
	r, err := decode[createCodeRequest](in.body)
	if err != nil {
		return reply{}, err
	}
	if err := r.check(); err != nil {
		return reply{}, err
	}
	o, err := a.Books.CreateCode(books.NewOrder{
		Order: books.Order{
			MerchantID: in.merchant.ID, MerchantPaymentID: r.MerchantPaymentID, Amount: *r.Amount.Amount, CaptureLater: r.IsAuthorization,
			StoreID: r.StoreID, StoreInfo: r.StoreInfo, TerminalID: r.TerminalID, Description: r.OrderDescription,
			ProductType: r.ProductType, RedirectURL: r.RedirectURL, RedirectType: r.RedirectType,
			Items: keepItems(r.OrderItems), RequestedAt: a.requestedAt(r.RequestedAt),
		},
		ExpiresAt: fromEpoch(r.AuthorizationExpiry),
	})
	if err != nil {
		return reply{}, err
	}
	return created(a.code(o)), nil
}

func (a *API) code(o books.Order) codeReply {
	address := a.WalletURL + o.Code.ID
	var items []orderItem
	_ = json.Unmarshal(o.Items, &items) // our own writing, or nothing
	out := codeReply{
		CodeID: o.Code.ID, URL: address, Deeplink: "paypay://payment?link_key=" + url.QueryEscape(address),
		ExpiryDate: epoch(o.Code.ExpiresAt), MerchantPaymentID: o.MerchantPaymentID, Amount: yen(o.Amount), OrderDescription: o.Description,
		CodeType: "ORDER_QR", StoreInfo: o.StoreInfo, StoreID: o.StoreID, TerminalID: o.TerminalID, ProductType: o.ProductType,
		RequestedAt: epoch(o.RequestedAt), RedirectURL: o.RedirectURL, RedirectType: o.RedirectType, IsAuthorization: o.CaptureLater,
		AuthorizationExpiry: orNull(epoch(o.ExpiresAt)),
	}
	for _, i := range items {
		price := i.UnitPrice
		i.UnitPrice = nil
		out.OrderItems = append(out.OrderItems, codeItem{orderItem: i, UnitPrice: price})
	}
	return out
}

func (a *API) deleteCode(in *call) (reply, error) {
	if err := a.Books.DeleteCode(in.merchant.ID, in.Param("codeId")); err != nil {
		return reply{}, err
	}
	return success(map[string]string{"qrStatus": "DELETED"}), nil
}

// getCodePayment: an unpaid code reads CREATED, also when it has expired; one that was deleted, or never was, is not found.
func (a *API) getCodePayment(in *call) (reply, error) {
	o, err := a.Books.Order(books.Ref{MerchantID: in.merchant.ID, MerchantPaymentID: in.Param("merchantPaymentId")})
	if errors.Is(err, books.ErrUnknown) {
		return reply{}, books.Refuse("DYNAMIC_QR_PAYMENT_NOT_FOUND")
	}
	if err != nil {
		return reply{}, err
	}
	if o.Status != books.Created {
		p := toPayment(o)
		p.UserAuthorizationID = ""
		return success(p), nil
	}
	if o.Code == nil || !o.Code.DeletedAt.IsZero() {
		return reply{}, books.Refuse("DYNAMIC_QR_PAYMENT_NOT_FOUND")
	}
	return success(unpaid{Status: books.Created}), nil
}

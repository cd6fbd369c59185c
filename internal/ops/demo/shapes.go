package demo

// What the services answer, as far as the story looks at it.

type item struct {
	Name      string `json:"name"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unit_price"`
	TaxClass  string `json:"tax_class"`
}

type taxLine struct {
	Rate    int64 `json:"rate"`
	Taxable int64 `json:"taxable"`
	Tax     int64 `json:"tax"`
}

type order struct {
	ID          string    `json:"id"`
	Number      string    `json:"number"`
	Status      string    `json:"status"`
	BusinessDay string    `json:"business_day"`
	Tax         int64     `json:"tax"`
	TaxLines    []taxLine `json:"tax_lines"`
	Total       int64     `json:"total"`
}

type bill struct {
	ID              string    `json:"id"`
	Number          string    `json:"number"`
	Status          string    `json:"status"`
	Version         int64     `json:"version"`
	Total           int64     `json:"total"`
	TaxTotal        int64     `json:"tax_total"`
	TaxLines        []taxLine `json:"tax_lines"`
	PaidAmount      int64     `json:"paid_amount"`
	RemainingAmount int64     `json:"remaining_amount"`
	Splits          []split   `json:"splits"`
}

type split struct {
	ID       string    `json:"id"`
	Sequence int       `json:"sequence"`
	Status   string    `json:"status"`
	Total    int64     `json:"total"`
	TaxLines []taxLine `json:"tax_lines"`
}

type payment struct {
	ID            string `json:"id"`
	Status        string `json:"status"`
	Method        string `json:"method"`
	Amount        int64  `json:"amount"`
	Tendered      int64  `json:"tendered"`
	Change        int64  `json:"change"`
	IntentID      string `json:"payment_intent_id"`
	Token         string `json:"payment_token"`
	GatewayURL    string `json:"pgw_url"`
	ReceiptNumber string `json:"receipt_number"`
	Failure       *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"failure"`
}

type intent struct {
	ID            string `json:"id"`
	Status        string `json:"status"`
	Amount        int64  `json:"amount"`
	QRContent     string `json:"qr_content"`
	LatestAttempt string `json:"latest_attempt_id"`
	SucceededAt   string `json:"succeeded_at"`
}

type receipt struct {
	Number string `json:"number"`
	Kind   string `json:"kind"`
	Date   string `json:"date"`
	Issuer struct {
		Name               string `json:"name"`
		StoreName          string `json:"store_name"`
		Address            string `json:"address"`
		Phone              string `json:"phone"`
		RegistrationNumber string `json:"registration_number"`
	} `json:"issuer"`
	BillNumber string `json:"bill_number"`
	Part       *struct {
		Sequence int `json:"sequence"`
		Of       int `json:"of"`
	} `json:"part"`
	Items []struct {
		Name      string `json:"name"`
		Quantity  int64  `json:"quantity"`
		UnitPrice int64  `json:"unit_price"`
		Amount    int64  `json:"amount"`
		Mark      string `json:"mark"`
	} `json:"items"`
	Rates []struct {
		Rate    int64  `json:"rate"`
		Taxable int64  `json:"taxable"`
		Tax     int64  `json:"tax"`
		Total   int64  `json:"total"`
		Mark    string `json:"mark"`
	} `json:"rates"`
	Total     int64    `json:"total"`
	Tax       int64    `json:"tax"`
	Method    string   `json:"method"`
	Provider  string   `json:"provider"`
	Tendered  int64    `json:"tendered"`
	Change    int64    `json:"change"`
	Qualified bool     `json:"qualified"`
	Notes     []string `json:"notes"`
}

type day struct {
	ID           string `json:"id"`
	BusinessDay  string `json:"business_day"`
	Status       string `json:"status"`
	Number       int64  `json:"number"`
	ExpectedCash int64  `json:"expected_cash"`
	CountedCash  int64  `json:"counted_cash"`
	Difference   int64  `json:"difference"`
	Net          int64  `json:"net"`
	Methods      []struct {
		Method string `json:"method"`
		Net    int64  `json:"net"`
	} `json:"methods"`
	Taxes []struct {
		Rate    int64 `json:"rate"`
		Taxable int64 `json:"taxable"`
		Tax     int64 `json:"tax"`
	} `json:"taxes"`
	Unfinished []struct{} `json:"unfinished"`
}

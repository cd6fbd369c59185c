package settlement

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/text/encoding/japanese"

	"github.com/mpac-cloud/mpac/sandbox/internal/books"
)

// layout is one of PayPay's two transaction files.
type layout struct {
	prefix       string
	captureLater bool
	header       []string
	statuses     map[event]string
	wallet       string // the payment method's name in its column
	walletDetail string // and in the details
}

// The two layouts, by the names the console knows.
var layouts = map[string]*layout{
	"instant": {
		prefix: "transaction_",
		header: []string{
			"決済番号", "加盟店ID", "屋号", "店舗ID", "店舗名", "端末番号/PosID", "取引ステータス", "取引日時", "取引金額", "レシート番号", "支払い方法",
			"マーチャント決済ID", "支払い詳細",
		},
		statuses: map[event]string{completed: "取引完了", failed: "取引失敗", refunded: "返金完了", refundFailed: "返金失敗"},
		wallet:   "PayPay残高", walletDetail: "PayPay残高",
	},
	"capture_later": {
		prefix: "preauth_transaction_", captureLater: true,
		header: []string{
			"orderId", "merchantId", "brandName", "storeId", "storeName", "terminalId", "transactionStatus", "acceptedAt", "amount",
			"orderReceiptNumber", "methodOfPayment", "merchantPaymentId", "paymentDetails",
		},
		statuses: map[event]string{
			completed: "COMPLETED", failed: "FAILED", refunded: "REFUNDED", refundFailed: "FAILED", authorized: "AUTHORIZED", canceled: "CANCELED",
			expired: "EXPIRED",
		},
		wallet: "wallet", walletDetail: "WALLET",
	},
}

const stamp = "20060102150405"

var fileName = regexp.MustCompile(`^(preauth_)?transaction_[A-Za-z0-9_-]+_\d{14}_\d{14}_v2\.csv$`)

func (l *layout) name(merchantID string, w Window) string {
	return fmt.Sprintf("%s%s_%s_%s_v2.csv", l.prefix, merchantID, w.From.Format(stamp), w.To.In(books.Tokyo).Format(stamp))
}

func (l *layout) row(m books.Merchant, r line) []string {
	amount := strconv.FormatInt(r.amount, 10)
	if r.broken {
		amount = "金額不明"
	}
	return []string{
		r.paymentID, m.ID, m.Brand, r.storeID, r.storeName, r.terminalID, l.statuses[r.event], r.at.In(books.Tokyo).Format(time.RFC3339),
		amount, "", l.wallet, r.reference, l.details(r),
	}
}

func (l *layout) details(r line) string {
	if r.event != completed && r.event != refunded {
		return ""
	}
	details, _ := json.Marshal([]struct { // plain strings and numbers
		PaymentMethod string `json:"paymentMethod"`
		Amount        int64  `json:"amount"`
	}{{l.walletDetail, r.amount}})
	return string(details)
}

// render is the file's bytes: a header, then the lines.
func (l *layout) render(m books.Merchant, lines []line) ([]byte, error) {
	var text bytes.Buffer
	w := csv.NewWriter(&text) // quotes as RFC 4180 says, ends lines with LF
	if err := w.Write(l.header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	for _, r := range lines {
		if err := w.Write(l.row(m, r)); err != nil {
			return nil, fmt.Errorf("line: %w", err)
		}
	}
	w.Flush()
	return shiftJIS(text.String()), w.Error()
}

// shiftJIS encodes; a character that it does not have becomes the geta mark, as printers have done it for centuries.
func shiftJIS(text string) []byte {
	encoder := japanese.ShiftJIS.NewEncoder()
	if out, err := encoder.String(text); err == nil {
		return []byte(out)
	}
	var out []byte
	for _, r := range text {
		c, err := encoder.String(string(r))
		if err != nil {
			c, _ = encoder.String("〓")
		}
		out = append(out, c...)
	}
	return out
}

// place writes a file so that a reader of the folder sees it whole or not at all.
func place(dir, name string, content []byte) (path string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // another process reads it
		return "", fmt.Errorf("settlement folder: %w", err)
	}
	temporary, err := os.CreateTemp(dir, ".writing-*")
	if err != nil {
		return "", fmt.Errorf("settlement file: %w", err)
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	_, err = temporary.Write(content)
	if err == nil {
		err = temporary.Chmod(0o644)
	}
	if err == nil {
		err = temporary.Sync()
	}
	if closeErr := temporary.Close(); err == nil {
		err = closeErr
	}
	path = filepath.Join(dir, name)
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return "", fmt.Errorf("settlement file: %w", err)
	}
	return filepath.Abs(path)
}

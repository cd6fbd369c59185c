// Package wallet is the customer's phone: the page that a code's QR leads to. It shows what is asked and by whom, and pays or
// declines. It needs nothing but itself: no script, no asset of anybody else.
package wallet

import (
	"strconv"
	"strings"
	"time"

	"github.com/mpac-cloud/mpac/sandbox/internal/books"
)

// words are the page's texts in one language.
type words struct {
	Lang, Other, OtherName                             string
	Wallet, Pay, Decline, DeclineAs, Sandbox           string
	Expires, Number, Shop, Store, Back, Codes, NoCodes string
	States                                             map[string]string // headline of what is no longer open
	Hints                                              map[string]string
	Reasons                                            map[string]string
}

// The page's states.
const (
	stateOpen      = "open"
	statePaid      = "paid"
	stateReserved  = "reserved"
	stateDeclined  = "declined"
	stateCancelled = "cancelled"
	stateRefunded  = "refunded"
	stateExpired   = "expired"
	stateDeleted   = "deleted"
	stateUnknown   = "unknown"
)

// reasons are the failures that a payer can be, in the order of the list.
var reasons = []string{"NO_SUFFICIENT_FUND", "LIMIT_EXCEEDED", "USER_STATE_IS_NOT_ACTIVE", "TRANSACTION_FAILED"}

var languages = map[string]words{
	"ja": {
		Lang: "ja", Other: "en", OtherName: "English",
		Wallet: "お支払い", Pay: "支払う", Decline: "支払わない", DeclineAs: "失敗の理由", Sandbox: "サンドボックスのウォレットです。お金は動きません。",
		Expires: "有効期限", Number: "注文番号", Shop: "お店", Store: "店舗", Back: "お店に戻る", Codes: "支払い待ちのコード",
		NoCodes: "支払い待ちのコードはありません。端末でQRコードを表示すると、ここに出ます。",
		States: map[string]string{
			statePaid: "支払いが完了しました", stateReserved: "支払いを確保しました", stateDeclined: "支払いは行われませんでした", stateCancelled: "支払いは取り消されました",
			stateRefunded: "返金されました", stateExpired: "コードの有効期限が切れました", stateDeleted: "このコードは使えません", stateUnknown: "コードが見つかりません",
		},
		Hints: map[string]string{
			stateDeclined: "もう一度支払うには、お店に新しいコードを表示してもらってください。", stateExpired: "お店に新しいコードを表示してもらってください。",
			stateDeleted: "お店に新しいコードを表示してもらってください。", stateUnknown: "アドレスを確かめるか、もう一度読み取ってください。",
		},
		Reasons: map[string]string{
			"NO_SUFFICIENT_FUND": "残高不足", "LIMIT_EXCEEDED": "上限超過", "USER_STATE_IS_NOT_ACTIVE": "利用停止中", "TRANSACTION_FAILED": "処理失敗",
		},
	},
	"en": {
		Lang: "en", Other: "ja", OtherName: "日本語",
		Wallet: "Payment", Pay: "Pay", Decline: "Decline", DeclineAs: "Why it fails", Sandbox: "This is the sandbox's wallet. No money moves.",
		Expires: "Valid until", Number: "Order", Shop: "Shop", Store: "Store", Back: "Back to the shop", Codes: "Codes waiting for payment",
		NoCodes: "No code waits for payment. Show a QR code on a terminal and it appears here.",
		States: map[string]string{
			statePaid: "Paid", stateReserved: "Amount reserved", stateDeclined: "Not paid", stateCancelled: "Payment cancelled",
			stateRefunded: "Refunded", stateExpired: "The code has expired", stateDeleted: "The code is no longer valid", stateUnknown: "No such code",
		},
		Hints: map[string]string{
			stateDeclined: "To pay after all, ask the shop for a new code.", stateExpired: "Ask the shop for a new code.",
			stateDeleted: "Ask the shop for a new code.", stateUnknown: "Check the address or scan again.",
		},
		Reasons: map[string]string{
			"NO_SUFFICIENT_FUND": "Not enough money", "LIMIT_EXCEEDED": "Limit exceeded", "USER_STATE_IS_NOT_ACTIVE": "Account not active",
			"TRANSACTION_FAILED": "Processing failed",
		},
	},
}

// language picks by the address's wish, else by the browser's: the first of its languages that we have.
func language(wish, accept string) words {
	if w, ok := languages[wish]; ok {
		return w
	}
	for _, tag := range strings.Split(accept, ",") {
		tag, _, _ = strings.Cut(strings.TrimSpace(tag), ";")
		tag, _, _ = strings.Cut(strings.ToLower(tag), "-")
		if w, ok := languages[tag]; ok {
			return w
		}
	}
	return languages["ja"]
}

// state is what the page shows of an order.
func state(o books.Order, now time.Time) string {
	switch o.Status {
	case books.Completed:
		return statePaid
	case books.Authorized:
		return stateReserved
	case books.Refunded:
		return stateRefunded
	case books.Canceled, books.Expired:
		return stateCancelled
	case books.Failed:
		if o.AcceptedAt.IsZero() {
			return stateDeclined
		}
		return stateCancelled
	case books.Created:
		if o.Code != nil && !o.Code.DeletedAt.IsZero() {
			return stateDeleted
		}
		if o.Payable(now) != nil {
			return stateExpired
		}
	}
	return stateOpen
}

// yen writes an amount with separators: 12,345.
func yen(amount int64) string {
	digits := strconv.FormatInt(amount, 10)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

func clock(at time.Time) string { return at.In(books.Tokyo).Format("15:04:05") }

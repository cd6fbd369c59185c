package format

import (
	"regexp"
	"time"

	"golang.org/x/text/encoding/japanese"

	"github.com/mpac-cloud/mpac/platform/money"
)

// Tokyo has kept UTC+9 without summer time since 1951; a fixed zone needs no time zone files on the host.
var tokyo = time.FixedZone("Asia/Tokyo", 9*60*60)

// PayPay is the transaction file of instant payments: PayPay Open Payment API, "transaction file", layout of 13 columns (12 in
// older documents). One file a merchant id and day of Tokyo; Shift_JIS with LF; failed lines included; no fees, no totals.
var PayPay = &Format{
	Name:     "paypay.transaction.v2",
	Provider: "paypay",
	File:     regexp.MustCompile(`^transaction_(?P<contract>[A-Za-z0-9-]+)_(?P<from>\d{14})_(?P<to>\d{14})(?:_v2)?\.csv$`),
	FileTime: "20060102150405",
	Zone:     tokyo,
	Legacy:   japanese.ShiftJIS,
	Currency: money.JPY,
	Columns: []Column{
		{Headers: []string{"決済番号", "orderId"}, Field: FieldProviderID},
		{Headers: []string{"加盟店ID", "merchantId"}, Field: FieldContract},
		{Headers: []string{"屋号", "brandName"}},
		{Headers: []string{"店舗ID", "storeId"}, Field: FieldStore, Optional: true},
		{Headers: []string{"店舗名", "storeName"}},
		{Headers: []string{"端末番号/PosID", "terminalId"}},
		{Headers: []string{"取引ステータス", "transactionStatus"}, Field: FieldStatus},
		{Headers: []string{"取引日時", "acceptedAt"}, Field: FieldAcceptedAt},
		{Headers: []string{"取引金額", "amount"}, Field: FieldAmount},
		{Headers: []string{"レシート番号", "orderReceiptNumber"}},
		{Headers: []string{"支払い方法", "methodOfPayment"}},
		{Headers: []string{"マーチャント決済ID", "加盟店決済ID", "merchantPaymentId"}, Field: FieldReference},
		{Headers: []string{"支払い詳細", "paymentDetails"}, Optional: true, Rest: true},
	},
	Statuses: map[string]Meaning{
		"取引完了": {Charge, Completed}, "取引失敗": {Charge, Failed},
		"返金完了": {Refund, Completed}, "返金失敗": {Refund, Failed},
	},
	Times: []string{
		time.RFC3339, "2006-01-02 15:04:05", "2006/01/02 15:04:05", "2006/1/2 15:04:05", "2006-01-02T15:04:05",
		"20060102150405", "2006/1/2 15:04",
	},
}

// All are the formats the matcher reads.
var All = []*Format{PayPay}

// Of is the format of a provider's transactions.
func Of(provider string) (*Format, bool) {
	for _, f := range All {
		if f.Provider == provider {
			return f, true
		}
	}
	return nil, false
}

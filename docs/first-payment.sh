#!/usr/bin/env bash
# A first payment through a platform that has just been deployed: a PSP, a merchant, a store with its contract at PayPay, a
# terminal with a key of its own, and a sale paid by QR. Needs curl, jq, openssl, xxd and oathtool. See deploy.md.
#
#   API=https://api.mpac-cloud-dev.com/api/v1 OPERATOR_EMAIL=... OPERATOR_PASSWORD=... PSP_EMAIL=... PSP_PASSWORD=... \
#   PAYPAY_MERCHANT_ID=... PAYPAY_API_KEY=... PAYPAY_API_SECRET=... bash docs/first-payment.sh
#
# OPERATOR_TOTP is the operator's authenticator when there is one already; else it is set up and printed. Keep it.
set -euo pipefail
: "${API:?}" "${OPERATOR_EMAIL:?}" "${OPERATOR_PASSWORD:?}" "${PSP_EMAIL:?}" "${PSP_PASSWORD:?}"
: "${PAYPAY_MERCHANT_ID:?}" "${PAYPAY_API_KEY:?}" "${PAYPAY_API_SECRET:?}"

call() { # call METHOD PATH [BODY]: with $TOKEN when there is one; an answer that is no success ends it
  curl -sS --fail-with-body -X "$1" "$API$2" -H 'Content-Type: application/json' -H "Idempotency-Key: $(openssl rand -hex 16)" \
    ${TOKEN:+-H "Authorization: Bearer $TOKEN"} ${3:+-d "$3"}
}
b64() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
sign_in() { # sign_in EMAIL PASSWORD [TOTP SECRET]: sets TOKEN; a first sign-in sets the authenticator up and prints its secret
  local answer mfa secret=${3:-}; TOKEN=
  answer=$(call POST /auth/user/login "$(jq -n --arg e "$1" --arg p "$2" '{email: $e, password: $p}')")
  if [ "$(jq -r .mfa_required <<<"$answer")" = true ]; then
    mfa=$(jq -r .mfa_token <<<"$answer")
    if [ -z "$secret" ]; then
      secret=$(call POST /auth/user/mfa/enrol "{\"mfa_token\": \"$mfa\"}" | jq -r .secret)
      echo "authenticator of $1: $secret (keep it)"
    fi
    answer=$(call POST /auth/user/mfa/verify "{\"mfa_token\": \"$mfa\", \"method\": \"totp\", \"code\": \"$(oathtool --totp -b "$secret")\"}")
  fi
  TOKEN=$(jq -r .access_token <<<"$answer")
}

# The operator makes the PSP and its admin; all else is the admin's.
sign_in "$OPERATOR_EMAIL" "$OPERATOR_PASSWORD" "${OPERATOR_TOTP:-}"
PSP=$(call POST /psps '{"code": "first-psp", "name": "First PSP"}' | jq -r .id)
call POST /users "{\"email\": \"$PSP_EMAIL\", \"name\": \"PSP admin\", \"password\": \"$PSP_PASSWORD\", \"role\": \"PSP_ADMIN\", \"psp_id\": \"$PSP\"}" >/dev/null
sign_in "$PSP_EMAIL" "$PSP_PASSWORD"
MERCHANT=$(call POST /merchants "{\"psp_id\": \"$PSP\", \"code\": \"first-merchant\", \"name\": \"First Merchant\", \"tax_rounding\": \"floor\"}" | jq -r .id)
STORE=$(call POST /stores "{\"merchant_id\": \"$MERCHANT\", \"code\": \"first-store\", \"name\": \"First Store\", \"timezone\": \"Asia/Tokyo\", \"price_mode\": \"inclusive\", \"address\": \"1-1 Example\", \"phone\": \"03-0000-0000\"}" | jq -r .id)
call PUT "/stores/$STORE/provider_configs/paypay" "{\"contract_id\": \"$PAYPAY_MERCHANT_ID\", \"credentials\": {\"api_key\": \"$PAYPAY_API_KEY\", \"api_secret\": \"$PAYPAY_API_SECRET\"}}" >/dev/null
until [ "$(call GET "/stores/$STORE/provider_configs/paypay" | jq -r .sync.state)" = synced ]; do sleep 1; done

# The terminal: registered, then activated with a key that never leaves it (here: terminal.pem).
TERMINAL=$(call POST /terminals "{\"store_id\": \"$STORE\", \"serial_number\": \"SN-1\", \"model\": \"MPAC S1\", \"name\": \"Till 1\"}" | jq -r .id)
CODE=$(call POST /device/provision/generateActivationCode "{\"terminal_id\": \"$TERMINAL\"}" | jq -r .activation_code)
openssl ecparam -name prime256v1 -genkey -noout -out terminal.pem
point() { openssl ec -in terminal.pem -pubout -outform DER 2>/dev/null | tail -c 64; }
JWK="{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"$(point | head -c 32 | b64)\", \"y\": \"$(point | tail -c 32 | b64)\"}"
CLIENT=$(TOKEN='' call POST /device/provision/activate "{\"activation_code\": \"$CODE\", \"public_key\": $JWK}" | jq -r .client_id)
terminal_token() { # two minutes long
  local now claims input
  now=$(date +%s)
  claims="{\"iss\": \"$CLIENT\", \"sub\": \"$CLIENT\", \"aud\": \"svc-portal-devices\", \"iat\": $now, \"exp\": $((now + 60)), \"jti\": \"$(openssl rand -hex 16)\"}"
  input="$(printf '{"alg":"ES256","typ":"JWT"}' | b64).$(printf '%s' "$claims" | b64)"
  assertion="$input.$(printf '%s' "$input" | openssl dgst -sha256 -sign terminal.pem | openssl asn1parse -inform DER |
    awk -F: '/INTEGER/ {s = $4; while (length(s) < 64) s = "0" s; printf "%s", s}' | xxd -r -p | b64)"
  TOKEN=$(curl -sS --fail-with-body "$API/auth/device/token" -d grant_type=client_credentials -d "client_id=$CLIENT" \
    -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer -d "client_assertion=$assertion" | jq -r .access_token)
}

# The sale: an order, its bill, a payment by QR.
terminal_token
ORDER=$(call POST /orders '{"order_type": "takeaway", "items": [{"name": "Bento", "quantity": 1, "unit_price": 880, "tax_class": "food"}]}' | jq -r .id)
BILL=$(call POST /bills "{\"order_ids\": [\"$ORDER\"]}" | jq -r .id)
PAYMENT=$(call POST /payments "{\"bill_id\": \"$BILL\", \"method\": \"qr\", \"provider\": \"paypay\"}")
GATEWAY=$(jq -r .pgw_url <<<"$PAYMENT") INTENT=$(jq -r .payment_intent_id <<<"$PAYMENT")
echo "pay this in the wallet: $(API=$GATEWAY TOKEN=$(jq -r .payment_token <<<"$PAYMENT") call POST "/v1/payment_intents/$INTENT/confirm" \
  '{"payment_method_type": "qr_mpm", "provider": "paypay"}' | jq -r .qr_content)"
for _ in $(seq 100); do # until it is paid, five minutes at most: the code's own life
  terminal_token
  NOW=$(call GET "/payments/$(jq -r .id <<<"$PAYMENT")")
  case $(jq -r .status <<<"$NOW") in
  completed) echo "paid: $(jq -r .amount <<<"$NOW") yen, receipt $(jq -r .receipt_number <<<"$NOW")"; exit 0 ;;
  failed | cancelled) echo "not paid: $NOW" >&2; exit 1 ;;
  esac
  sleep 3
done
echo "nobody paid" >&2
exit 1

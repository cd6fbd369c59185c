#!/bin/sh
# Starts the whole platform in containers. The first time it makes every secret (in .env and secrets/, never committed), brings
# the databases up and asks the payment gateway for a key; from then on `docker compose up -d` does the same.
set -eu
umask 077
cd "$(dirname "$0")"
compose() { docker compose "$@"; }
hex() { head -c "$1" /dev/urandom | od -An -tx1 | tr -d ' \n'; }

if [ ! -f .env ]; then
	mkdir -p secrets
	for name in portal pgw; do
		printf 'compose-1:%s\n' "$(head -c 32 /dev/urandom | base64 | tr -d '\n')" > secrets/$name.seal
		chmod 0644 secrets/$name.seal # read by the container's user; the folder is yours alone
	done
	{
		for name in POSTGRES_SMARTPOS_PASSWORD POSTGRES_PGW_PASSWORD ROLE_SVC_PORTAL_PASSWORD ROLE_SVC_SMARTTAB_PASSWORD \
			ROLE_PGW_BACKEND_PASSWORD ROLE_MATCHER_PASSWORD REDIS_SMARTPOS_PASSWORD REDIS_PGW_PASSWORD OTLP_TOKEN \
			OBJECTS_PASSWORD GRAFANA_PASSWORD GRAFANA_SEAL_KEY PAYPAY_API_KEY PAYPAY_API_SECRET SEED_ADMIN_PASSWORD; do
			echo "$name=$(hex 20)"
		done
		echo "SEED_ADMIN_EMAIL=operator@example.com"
		echo "SEED_ADMIN_TOTP_SECRET=$(head -c 20 /dev/urandom | base32 | tr -d '=\n')"
		echo "PAYPAY_MERCHANT_ID=100000000000000001"
		echo "PGW_API_KEY=unset"
		echo "PGW_SECRET_KEY=unset"
	} > .env.new
	mv .env.new .env
fi

compose build
if grep -q '^PGW_API_KEY=unset$' .env; then
	compose up -d --wait postgres-pgw redis-pgw
	answer=$(compose run --rm -T partner)
	field() { printf '%s' "$answer" | sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | tail -n 1; }
	key=$(field api_key) secret=$(field secret_key)
	[ -n "$key" ] && [ -n "$secret" ] || { echo "the payment gateway gave no key" >&2; exit 1; }
	sed -e "s/^PGW_API_KEY=.*/PGW_API_KEY=$key/" -e "s/^PGW_SECRET_KEY=.*/PGW_SECRET_KEY=$secret/" .env > .env.new
	mv .env.new .env
fi
compose up -d --wait
compose run --rm seed
cat <<END

  terminals and people   http://localhost:8000        (Kong; /portal/docs, /smarttab/docs)
  payment gateway        http://localhost:8080        (/docs)
  the wallet, played     http://localhost:8090
  Grafana                http://localhost:3000        admin / GRAFANA_PASSWORD in containers/.env
  Prometheus             http://localhost:9090
  first operator         operator@example.com / SEED_ADMIN_PASSWORD and SEED_ADMIN_TOTP_SECRET in containers/.env
END

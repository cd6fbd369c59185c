#!/usr/bin/env bash
# Makes sure of the two servers that the platform and its tests run on. Installs them where it may (Debian, as root), else
# prints the one command that does.
set -euo pipefail

have_postgres() { command -v postgres >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; }
have_redis() { command -v redis-server >/dev/null; }

missing=()
have_postgres || missing+=(postgresql)
have_redis || missing+=(redis-server)
[ ${#missing[@]} -eq 0 ] && exit 0

case "$(uname -s)" in
Darwin) how="brew install postgresql@16 redis" ;;
*) how="apt-get update && apt-get install -y ${missing[*]}" ;;
esac
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	echo "installing ${missing[*]} with apt-get"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	# The packages would start servers of their own; this platform starts its own.
	printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
	trap 'rm -f /usr/sbin/policy-rc.d' EXIT
	apt-get install -y -qq "${missing[@]}" >/dev/null
	exit 0
fi
echo "This needs ${missing[*]}. Install with:" >&2
echo "    $([ "$(id -u)" = 0 ] || [ "$(uname -s)" = Darwin ] || echo 'sudo ')$how" >&2
exit 1

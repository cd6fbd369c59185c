#!/usr/bin/env bash
# Makes sure of the two servers that the platform and its tests run on, and of the tools with which docs/pgw.md talks to it and
# the tests type that page. Installs them where it may (Debian, as root), else prints the one command that does.
set -euo pipefail

have() {
	case "$1" in
	postgresql) command -v postgres >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

missing=()
for package in postgresql redis-server curl jq openssl; do
	have "$package" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=sudo
[ "$(id -u)" = 0 ] && sudo=
case "$(uname -s)" in
Darwin)
	how="brew install ${missing[*]}"
	how=${how/postgresql/postgresql@16} how=${how/redis-server/redis}
	;;
*) how="${sudo:+$sudo }apt-get update && ${sudo:+$sudo }apt-get install -y ${missing[*]}" ;;
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
echo "    $how" >&2
exit 1

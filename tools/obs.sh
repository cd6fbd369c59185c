#!/usr/bin/env bash
# Builds the observability stack from source, each part at its pinned version, into ~/.cache/mpac/obs (MPAC_OBS_CACHE) and
# nothing that is there already. The first time takes some ten minutes on four cores; it runs at the lowest priority.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${MPAC_OBS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mpac/obs}

package() { # of a binary, inside the part's own module
	case $1 in
	prometheus) echo github.com/prometheus/prometheus/cmd/prometheus ;;
	promtool) echo github.com/prometheus/prometheus/cmd/promtool ;;
	alertmanager) echo github.com/prometheus/alertmanager/cmd/alertmanager ;;
	amtool) echo github.com/prometheus/alertmanager/cmd/amtool ;;
	loki) echo github.com/grafana/loki/v3/cmd/loki ;;
	otelcol) echo . ;;
	esac
}

total=$(grep -cv '^#' obs/stack/versions)
n=0
while read -r part version binaries; do
	case $part in '' | '#'*) continue ;; esac
	n=$((n + 1))
	into=$cache/$part-$version
	missing=()
	for b in $binaries; do [ -x "$into/$b" ] || missing+=("$b"); done
	if [ ${#missing[@]} -eq 0 ]; then
		echo "[$n/$total] $part $version: there"
		continue
	fi
	mkdir -p "$into"
	for b in "${missing[@]}"; do
		began=$SECONDS
		echo "[$n/$total] $part $version: building $b (minutes, the first time)"
		(cd "obs/stack/$part" && CGO_ENABLED=0 nice -n 19 go build -trimpath -tags remove_all_sd -ldflags '-s -w' -o "$into/.$b.new" "$(package "$b")")
		mv "$into/.$b.new" "$into/$b"
		echo "[$n/$total] $part $version: $b in $((SECONDS - began)) s"
	done
done <obs/stack/versions
echo "the stack is in $cache"

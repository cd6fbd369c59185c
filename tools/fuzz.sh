#!/usr/bin/env bash
# Runs each fuzz target of the module for the given time.
set -euo pipefail
cd "$(dirname "$0")/.."

time="${1:-20s}"
grep -rlE --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do
	package="./$(dirname "${file#./}")"
	grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | sed 's/^func //' | while read -r target; do
		echo "== $package $target ($time)"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package"
	done
done

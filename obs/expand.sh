#!/bin/sh
# Writes the files named on standard output, one behind the other, with each ${NAME} replaced by the environment's variable.
# A name that is not set is an error: a stack with half its addresses would start and be silent. For images with nothing but
# busybox: expand.sh alertmanager.yml contacts-sns.yml > /tmp/alertmanager.yml
set -eu
cat "$@" | awk '{
	rest = $0; line = ""
	while (match(rest, /\$\{[A-Z][A-Z0-9_]*\}/)) {
		name = substr(rest, RSTART + 2, RLENGTH - 3)
		if (!(name in ENVIRON) && rest !~ /^[ \t]*#/ && $0 !~ /^[ \t]*#/) { print "expand: " name " is not set" > "/dev/stderr"; exit 1 }
		line = line substr(rest, 1, RSTART - 1) ENVIRON[name]
		rest = substr(rest, RSTART + RLENGTH)
	}
	print line rest
}'

#!/usr/bin/env bash
# Holds the CloudFormation templates against AWS's own schemas. cfn-lint is a Python program that `make` does not install: where
# it is missing this says so and goes on.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v cfn-lint >/dev/null; then
	echo "NOTICE: cfn-lint is not on this machine, so the templates in infra/ were NOT checked against AWS's schemas (pipx install cfn-lint)." >&2
	exit 0
fi
cfn-lint --version
cfn-lint --config-file .cfnlintrc
echo "the templates have no findings"

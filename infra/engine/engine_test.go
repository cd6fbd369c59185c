package engine

import (
	"strings"
	"testing"
)

func TestStartedByNamesThePerson(t *testing.T) {
	t.Parallel()
	for caller, want := range map[string]string{
		"arn:aws:sts::111122223333:assumed-role/operator/hanako@example.com":                                 "mpac-deploy/operator/hanako_example_com",
		"arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Operator_0123456789abcdef/hanako@example.com": "mpac-deploy/AWSReservedSSO_Operator_0123456789abcdef/hanako_example_com",
		"arn:aws:iam::111122223333:user/people/hanako":                                                       "mpac-deploy/user/people/hanako",
		"arn:aws:iam::111122223333:root":                                                                     "mpac-deploy/root",
		"":                                                                                                   "mpac-deploy",
	} {
		if got := startedBy(caller); got != want {
			t.Errorf("%q: %q, want %q", caller, got, want)
		}
	}
	if got := startedBy("arn:aws:sts::111122223333:assumed-role/" + strings.Repeat("r", 64) + "/" + strings.Repeat("s", 64)); len(got) != 128 {
		t.Errorf("%d characters: %s", len(got), got)
	}
}

package drills_test

// reconciliation are the drills of the rule group "reconciliation".
var reconciliation []batch

package drills_test

// slo are the drills of the rule group "slo".
var slo []batch

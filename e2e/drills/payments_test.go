package drills_test

// payments are the drills of the rule group "payments".
var payments []batch

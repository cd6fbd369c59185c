package drills_test

// store are the drills of the rule group "store".
var store []batch

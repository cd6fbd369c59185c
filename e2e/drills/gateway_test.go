package drills_test

// gateway are the drills of the rule group "gateway".
var gateway []batch

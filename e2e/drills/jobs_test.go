package drills_test

// jobs are the drills of the rule group "jobs".
var jobs []batch

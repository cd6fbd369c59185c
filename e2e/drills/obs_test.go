package drills_test

// obs are the drills of the rule group "obs".
var obs []batch

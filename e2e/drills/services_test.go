package drills_test

// services are the drills of the rule group "services".
var services []batch

package drills_test

// data are the drills of the rule group "data".
var data = []batch{
	{{
		Alert:  "RedisDown",
		Fault:  "The Redis process is stopped with SIGSTOP: it keeps its connections and answers nobody.",
		Inject: func(s *stage) { s.Hang("redis") },
		Steps: func(s *stage) {
			s.Sees("mpac doctor", "Redis", "it does not answer")
			s.Runbook("mpac restart redis")
		},
	}},
}

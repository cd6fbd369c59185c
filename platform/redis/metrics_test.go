package redis

import (
	"errors"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

func TestInfoIsReadAsNumbers(t *testing.T) {
	t.Parallel()
	info := parseInfo("# Memory\r\nused_memory:1048576\r\nused_memory_human:1.00M\r\nmaxmemory:0\r\ntotal_system_memory:8000\r\n# Keyspace\r\ndb0:keys=3,expires=1,avg_ttl=0\r\ndb1:keys=2,expires=0\r\n")
	for name, want := range map[string]float64{"used_memory": 1048576, "maxmemory": 0, "total_system_memory": 8000, "keys": 5} {
		if info[name] != want {
			t.Errorf("%s is %v, want %v", name, info[name], want)
		}
	}
	if _, there := info["used_memory_human"]; there {
		t.Error("a text is no number")
	}
}

func TestAnswersAreNoErrors(t *testing.T) {
	t.Parallel()
	if !answered(goredis.Nil) || answered(errors.New("dial tcp: refused")) {
		t.Error("no such key is an answer, no connection is none")
	}
}

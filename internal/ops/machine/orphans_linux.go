package machine

import (
	"os"
	"path/filepath"
	"strconv"
)

// runningIn finds the postgres processes that work in a data folder: only there does a killed postmaster leave any.
func runningIn(data string) []int {
	where, err := os.Stat(data)
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		process := filepath.Join("/proc", entry.Name())
		cwd, err := os.Stat(filepath.Join(process, "cwd")) // a zombie has none
		if err != nil || !os.SameFile(cwd, where) {
			continue
		}
		if exe, err := os.Readlink(filepath.Join(process, "exe")); err == nil && filepath.Base(exe) == "postgres" {
			pids = append(pids, pid)
		}
	}
	return pids
}

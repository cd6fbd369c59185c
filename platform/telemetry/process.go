package telemetry

import (
	"context"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

var born = time.Now()

// observeProcess tells the process's age, processor time and memory.
func observeProcess() {
	names.Observe(func(_ context.Context, say names.Say) {
		say(names.ProcessUptime, time.Since(born).Seconds())
		var use syscall.Rusage
		if syscall.Getrusage(syscall.RUSAGE_SELF, &use) == nil {
			say(names.ProcessCPU, seconds(use.Utime)+seconds(use.Stime))
		}
		if bytes, known := residentMemory(); known {
			say(names.ProcessMemory, bytes)
		}
	}, names.ProcessUptime, names.ProcessCPU, names.ProcessMemory)
}

func seconds(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }

// residentMemory reads /proc/self/statm; other systems than Linux have none.
func residentMemory() (bytes float64, known bool) {
	text, err := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return float64(pages * int64(os.Getpagesize())), err == nil
}

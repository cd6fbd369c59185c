package platform

import "syscall"

// withUs ends the platform, cleanly, with the test's process, even if that is killed.
func withUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

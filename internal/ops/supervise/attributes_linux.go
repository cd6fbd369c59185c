package supervise

import "syscall"

// attributes give the child a process group of its own, so that Ctrl-C reaches the supervisor alone, and a signal for the
// supervisor's death.
func attributes(c Child) *syscall.SysProcAttr {
	orphan := c.OnOrphan
	if orphan == 0 {
		orphan = syscall.SIGKILL
	}
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: orphan, Credential: c.User}
}

//go:build unix && !linux

package supervise

import "syscall"

// attributes give the child a process group of its own. Only Linux ends a child with its parent.
func attributes(c Child) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: c.User}
}

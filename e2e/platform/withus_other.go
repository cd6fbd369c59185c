//go:build unix && !linux

package platform

import "syscall"

func withUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

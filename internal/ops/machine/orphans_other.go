//go:build unix && !linux

package machine

// runningIn finds nothing where there is no /proc: PostgreSQL's own checks then decide.
func runningIn(string) []int { return nil }

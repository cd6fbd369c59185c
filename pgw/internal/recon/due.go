package recon

import "slices"

// byDue puts those due first, first.
func byDue(all []OpenException) []OpenException {
	slices.SortStableFunc(all, func(a, b OpenException) int { return a.Due.Compare(b.Due) })
	return all
}

package iam

import (
	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
)

// holds refuses a tenant that was said above the role's level and is not the one found, or below the level.
func (u User) holds(said User) error {
	for _, level := range []struct {
		field       string
		said, found *uuid.UUID
	}{{"psp_id", said.PSPID, u.PSPID}, {"merchant_id", said.MerchantID, u.MerchantID}, {"store_id", said.StoreID, u.StoreID}} {
		switch {
		case level.said == nil:
		case level.found == nil:
			return problem.Validation.Field(level.field, "the role %s is not held at this level", u.Role)
		case *level.said != *level.found:
			return problem.Validation.Field(level.field, "it does not belong to the rest")
		}
	}
	return nil
}

// within fills in the caller's own tenant where the request leaves it out.
func (u User) within(caller access.Principal) User {
	fill := func(member **uuid.UUID, own uuid.UUID) {
		if *member == nil && own != uuid.Nil {
			*member = &own
		}
	}
	if u.Role != access.SystemOp {
		fill(&u.PSPID, caller.PSPID)
	}
	if u.Role != access.SystemOp && u.Role != access.PSPAdmin {
		fill(&u.MerchantID, caller.MerchantID)
	}
	if u.Role == access.StoreManager || u.Role == access.Staff {
		fill(&u.StoreID, caller.StoreID)
	}
	return u
}

// mayManage says whether the caller may make or change somebody of the role: nobody reaches above their own.
func mayManage(caller access.Principal, role access.Role) error {
	if !caller.Role.AtLeast(role) {
		return problem.Forbidden.New("Your role does not stand above %s.", role)
	}
	return nil
}

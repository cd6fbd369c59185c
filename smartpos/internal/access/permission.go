package access

import (
	"slices"
)

// Role is a user's role. A role is a set of permissions; a user holds it within a tenant (its scope).
type Role string

// The roles, highest first. Each has all the permissions of the ones after it.
const (
	SystemOp      Role = "SYSTEM_OP"      // the platform; bound to no tenant
	PSPAdmin      Role = "PSP_ADMIN"      // a PSP and all beneath it
	MerchantAdmin Role = "MERCHANT_ADMIN" // a merchant and all its stores
	StoreManager  Role = "STORE_MANAGER"  // one store
	Staff         Role = "STAFF"          // one store, at the till
)

// Permission is one thing that a role may do, as resource.verb.
type Permission string

// Permissions of svc-portal.
const (
	PSPsRead             Permission = "psps.read"
	PSPsCreate           Permission = "psps.create"
	PSPsWrite            Permission = "psps.write"
	MerchantsRead        Permission = "merchants.read"
	MerchantsCreate      Permission = "merchants.create"
	MerchantsWrite       Permission = "merchants.write"
	StoresRead           Permission = "stores.read"
	StoresCreate         Permission = "stores.create"
	StoresWrite          Permission = "stores.write"
	ProviderConfigsRead  Permission = "provider_configs.read"
	ProviderConfigsWrite Permission = "provider_configs.write"
	TerminalsRead        Permission = "terminals.read"
	TerminalsWrite       Permission = "terminals.write"
	TerminalsActivate    Permission = "terminals.activate"
	UsersRead            Permission = "users.read"
	UsersWrite           Permission = "users.write"
	SessionsOwn          Permission = "sessions.own" // one's own sessions and password
	AuditRead            Permission = "audit.read"
	SyncRead             Permission = "sync.read"
	SyncRetry            Permission = "sync.retry"
)

// Permissions of svc-smarttab.
const (
	OrdersRead       Permission = "orders.read"
	OrdersWrite      Permission = "orders.write"
	BillsRead        Permission = "bills.read"
	BillsWrite       Permission = "bills.write"
	PaymentsRead     Permission = "payments.read"
	PaymentsTake     Permission = "payments.take"
	PaymentsRefund   Permission = "payments.refund"
	ReceiptsRead     Permission = "receipts.read"
	SettlementsRead  Permission = "settlements.read"
	SettlementsWrite Permission = "settlements.write" // cash movements and the close of day
)

// Roles lists the roles, highest first.
func Roles() []Role { return []Role{SystemOp, PSPAdmin, MerchantAdmin, StoreManager, Staff} }

// Valid says whether r is one of the roles.
func (r Role) Valid() bool { return slices.Contains(Roles(), r) }

// AtLeast says whether r stands as high as other or higher. Nobody hands out or changes a role above their own.
func (r Role) AtLeast(other Role) bool {
	mine, theirs := slices.Index(Roles(), r), slices.Index(Roles(), other)
	return mine >= 0 && theirs >= 0 && mine <= theirs
}

// MustHaveMFA says whether the role may not sign in with a password alone.
func (r Role) MustHaveMFA() bool { return r == SystemOp || r == PSPAdmin }

// Has says whether the role has the permission.
func (r Role) Has(p Permission) bool {
	_, ok := grants[r][p]
	return ok
}

// own says what each role adds to the role below it.
var own = map[Role][]Permission{
	Staff: {
		SessionsOwn, StoresRead,
		OrdersRead, OrdersWrite, BillsRead, BillsWrite, PaymentsRead, PaymentsTake, ReceiptsRead,
	},
	StoreManager: {
		MerchantsRead, TerminalsRead, TerminalsWrite, TerminalsActivate, UsersRead, ProviderConfigsRead,
		PaymentsRefund, SettlementsRead, SettlementsWrite,
	},
	MerchantAdmin: {
		MerchantsWrite, StoresCreate, StoresWrite, ProviderConfigsWrite, UsersWrite, AuditRead, SyncRead,
	},
	PSPAdmin: {PSPsRead, PSPsWrite, MerchantsCreate, SyncRetry},
	SystemOp: {PSPsCreate},
}

// grants is the whole table: what each role has, its own and all from below.
var grants = func() map[Role]map[Permission]struct{} {
	table := map[Role]map[Permission]struct{}{}
	below := map[Permission]struct{}{}
	for _, role := range slices.Backward(Roles()) {
		set := map[Permission]struct{}{}
		for p := range below {
			set[p] = struct{}{}
		}
		for _, p := range own[role] {
			set[p] = struct{}{}
		}
		table[role], below = set, set
	}
	return table
}()

// Permissions lists what the role has, sorted.
func (r Role) Permissions() []Permission {
	all := make([]Permission, 0, len(grants[r]))
	for p := range grants[r] {
		all = append(all, p)
	}
	slices.Sort(all)
	return all
}

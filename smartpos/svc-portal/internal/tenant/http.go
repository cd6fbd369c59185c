package tenant

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
)

const prefix = "/api/v1"

// Register adds the operations on PSPs, merchants, stores and provider configurations.
func Register(api huma.API, d *DB) {
	registerPSPs(api, d)
	registerMerchants(api, d)
	registerStores(api, d)
	registerProviderConfigs(api, d)
}

func operation(rule access.Rule, id, method, path, tag, summary string) huma.Operation {
	op := huma.Operation{OperationID: id, Method: method, Path: prefix + path, Summary: summary, Tags: []string{tag}}
	if method == http.MethodPost {
		op.DefaultStatus = http.StatusCreated
	}
	return rule.On(op)
}

// ByID names one thing. It is embedded, so it must be exported to be filled in.
type ByID struct {
	ID uuid.UUID `path:"id" format:"uuid"`
}

// ListQuery is what the lists here have in common.
type ListQuery struct {
	wire.Page
	Status string `query:"status" enum:"active,inactive"`
	Code   string `query:"code" maxLength:"32"`
}

func (q ListQuery) filter() (Filter, error) {
	before, err := q.Before()
	return Filter{Status: q.Status, Code: q.Code, Before: before, Size: q.Size()}, err
}

type output[T any] struct{ Body T }

func answer[T any](v T, err error) (*output[T], error) {
	if err != nil {
		return nil, err
	}
	return &output[T]{v}, nil
}

func listed[T any](page wire.Page, rows []T, err error, id func(T) uuid.UUID) (*output[wire.List[T]], error) {
	if err != nil {
		return nil, err
	}
	same := func(v T) T { return v }
	return &output[wire.List[T]]{wire.Listed(page, rows, func(v T) string { return id(v).String() }, same)}, nil
}

type createPSP struct {
	Body struct {
		Code string `json:"code" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9][A-Za-z0-9_-]*$"`
		Name string `json:"name" minLength:"1" maxLength:"200"`
	}
}

type changePSP struct {
	ByID
	Body struct {
		Version int64   `json:"version" minimum:"1" doc:"The version you saw"`
		Name    *string `json:"name,omitempty" minLength:"1" maxLength:"200"`
		Status  *string `json:"status,omitempty" enum:"active,inactive"`
	}
}

func registerPSPs(api huma.API, d *DB) {
	huma.Register(api, operation(access.Users(access.PSPsCreate), "create-psp", http.MethodPost, "/psps", "PSPs", "Add a PSP"),
		func(ctx context.Context, in *createPSP) (*output[PSP], error) {
			return answer(d.CreatePSP(ctx, access.From(ctx).Scope(), PSP{Code: in.Body.Code, Name: in.Body.Name}))
		})
	huma.Register(api, operation(access.Users(access.PSPsRead), "list-psps", http.MethodGet, "/psps", "PSPs", "List the PSPs"),
		func(ctx context.Context, in *ListQuery) (*output[wire.List[PSP]], error) {
			f, err := in.filter()
			if err != nil {
				return nil, err
			}
			rows, err := d.PSPs(ctx, access.From(ctx).Scope(), f)
			return listed(in.Page, rows, err, func(p PSP) uuid.UUID { return p.ID })
		})
	huma.Register(api, operation(access.Users(access.PSPsRead), "get-psp", http.MethodGet, "/psps/{id}", "PSPs", "Read a PSP"),
		func(ctx context.Context, in *ByID) (*output[PSP], error) {
			return answer(d.PSP(ctx, access.From(ctx).Scope(), in.ID))
		})
	huma.Register(api, operation(access.Users(access.PSPsWrite), "change-psp", http.MethodPatch, "/psps/{id}", "PSPs", "Change a PSP"),
		func(ctx context.Context, in *changePSP) (*output[PSP], error) {
			caller := access.From(ctx)
			if in.Body.Status != nil && caller.Role != access.SystemOp {
				return nil, problem.Forbidden.New("Only the platform's operators open and close a PSP.")
			}
			return answer(d.ChangePSP(ctx, caller.Scope(), in.ID, in.Body.Version, func(p *PSP) {
				set(&p.Name, in.Body.Name)
				set(&p.Status, in.Body.Status)
			}))
		})
}

type createMerchant struct {
	Body struct {
		PSPID                     uuid.UUID `json:"psp_id,omitempty" format:"uuid" doc:"May be left out by a PSP's own users"`
		Code                      string    `json:"code" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9][A-Za-z0-9_-]*$"`
		Name                      string    `json:"name" minLength:"1" maxLength:"200"`
		InvoiceRegistrationNumber string    `json:"invoice_registration_number,omitempty" maxLength:"14"`
		TaxRounding               string    `json:"tax_rounding,omitempty" enum:"floor,half_up,ceil" default:"floor"`
	}
}

type changeMerchant struct {
	ByID
	Body struct {
		Version                   int64   `json:"version" minimum:"1" doc:"The version you saw"`
		Name                      *string `json:"name,omitempty" minLength:"1" maxLength:"200"`
		InvoiceRegistrationNumber *string `json:"invoice_registration_number,omitempty" maxLength:"14" doc:"Empty takes it away"`
		TaxRounding               *string `json:"tax_rounding,omitempty" enum:"floor,half_up,ceil"`
		Status                    *string `json:"status,omitempty" enum:"active,inactive"`
	}
}

type listMerchants struct {
	ListQuery
	PSPID uuid.UUID `query:"psp_id" format:"uuid"`
}

func registerMerchants(api huma.API, d *DB) {
	huma.Register(api, operation(access.Users(access.MerchantsCreate), "create-merchant", http.MethodPost, "/merchants", "Merchants", "Add a merchant"),
		func(ctx context.Context, in *createMerchant) (*output[Merchant], error) {
			caller, b := access.From(ctx), in.Body
			m := Merchant{
				PSPID: b.PSPID, Code: b.Code, Name: b.Name, InvoiceRegistrationNumber: b.InvoiceRegistrationNumber,
				TaxRounding: or(b.TaxRounding, "floor"),
			}
			if m.PSPID == uuid.Nil {
				m.PSPID = caller.PSPID
			}
			if err := m.check(); err != nil {
				return nil, err
			}
			return answer(d.CreateMerchant(ctx, caller.Scope(), m))
		})
	huma.Register(api, operation(access.Users(access.MerchantsRead), "list-merchants", http.MethodGet, "/merchants", "Merchants", "List the merchants"),
		func(ctx context.Context, in *listMerchants) (*output[wire.List[Merchant]], error) {
			f, err := in.filter()
			if err != nil {
				return nil, err
			}
			f.PSPID = in.PSPID
			rows, err := d.Merchants(ctx, access.From(ctx).Scope(), f)
			return listed(in.Page, rows, err, func(m Merchant) uuid.UUID { return m.ID })
		})
	huma.Register(api, operation(access.Users(access.MerchantsRead), "get-merchant", http.MethodGet, "/merchants/{id}", "Merchants", "Read a merchant"),
		func(ctx context.Context, in *ByID) (*output[Merchant], error) {
			return answer(d.Merchant(ctx, access.From(ctx).Scope(), in.ID))
		})
	huma.Register(api, operation(access.Users(access.MerchantsWrite), "change-merchant", http.MethodPatch, "/merchants/{id}", "Merchants", "Change a merchant"),
		func(ctx context.Context, in *changeMerchant) (*output[Merchant], error) {
			caller, b := access.From(ctx), in.Body
			if b.Status != nil && !caller.Role.AtLeast(access.PSPAdmin) {
				return nil, problem.Forbidden.New("Only its PSP opens and closes a merchant.")
			}
			return answer(d.ChangeMerchant(ctx, caller.Scope(), in.ID, b.Version, func(m *Merchant) error {
				set(&m.Name, b.Name)
				set(&m.InvoiceRegistrationNumber, b.InvoiceRegistrationNumber)
				set(&m.TaxRounding, b.TaxRounding)
				set(&m.Status, b.Status)
				return m.check()
			}))
		})
}

type createStore struct {
	Body struct {
		MerchantID uuid.UUID `json:"merchant_id,omitempty" format:"uuid" doc:"May be left out by a merchant's own users"`
		Code       string    `json:"code" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9][A-Za-z0-9_-]*$"`
		Name       string    `json:"name" minLength:"1" maxLength:"200"`
		Timezone   string    `json:"timezone,omitempty" maxLength:"64" default:"Asia/Tokyo"`
		DayCutoff  string    `json:"day_cutoff,omitempty" maxLength:"5" default:"05:00"`
		PriceMode  string    `json:"price_mode,omitempty" enum:"inclusive,exclusive" default:"inclusive"`
		Currency   string    `json:"currency,omitempty" maxLength:"3" default:"JPY"`
		Address    string    `json:"address,omitempty" maxLength:"500"`
		Phone      string    `json:"phone,omitempty" maxLength:"40"`
	}
}

type changeStore struct {
	ByID
	Body struct {
		Version   int64   `json:"version" minimum:"1" doc:"The version you saw"`
		Name      *string `json:"name,omitempty" minLength:"1" maxLength:"200"`
		Timezone  *string `json:"timezone,omitempty" maxLength:"64"`
		DayCutoff *string `json:"day_cutoff,omitempty" maxLength:"5"`
		PriceMode *string `json:"price_mode,omitempty" enum:"inclusive,exclusive"`
		Address   *string `json:"address,omitempty" maxLength:"500" doc:"Empty takes it away"`
		Phone     *string `json:"phone,omitempty" maxLength:"40" doc:"Empty takes it away"`
		Status    *string `json:"status,omitempty" enum:"active,inactive"`
	}
}

type listStores struct {
	ListQuery
	MerchantID uuid.UUID `query:"merchant_id" format:"uuid"`
}

func registerStores(api huma.API, d *DB) {
	huma.Register(api, operation(access.Users(access.StoresCreate), "create-store", http.MethodPost, "/stores", "Stores", "Add a store"),
		func(ctx context.Context, in *createStore) (*output[Store], error) {
			caller, b := access.From(ctx), in.Body
			s := Store{
				MerchantID: b.MerchantID, Code: b.Code, Name: b.Name, Timezone: b.Timezone, DayCutoff: b.DayCutoff, PriceMode: b.PriceMode,
				Currency: b.Currency, Address: b.Address, Phone: b.Phone,
			}
			if s.MerchantID == uuid.Nil {
				s.MerchantID = caller.MerchantID
			}
			if err := s.check(); err != nil {
				return nil, err
			}
			return answer(d.CreateStore(ctx, caller.Scope(), s))
		})
	huma.Register(api, operation(access.Users(access.StoresRead), "list-stores", http.MethodGet, "/stores", "Stores", "List the stores"),
		func(ctx context.Context, in *listStores) (*output[wire.List[Store]], error) {
			f, err := in.filter()
			if err != nil {
				return nil, err
			}
			f.MerchantID = in.MerchantID
			rows, err := d.Stores(ctx, access.From(ctx).Scope(), f)
			return listed(in.Page, rows, err, func(s Store) uuid.UUID { return s.ID })
		})
	huma.Register(api, operation(access.Users(access.StoresRead), "get-store", http.MethodGet, "/stores/{id}", "Stores", "Read a store"),
		func(ctx context.Context, in *ByID) (*output[Store], error) {
			return answer(d.Store(ctx, access.From(ctx).Scope(), in.ID))
		})
	huma.Register(api, operation(access.Users(access.StoresWrite), "change-store", http.MethodPatch, "/stores/{id}", "Stores", "Change a store"),
		func(ctx context.Context, in *changeStore) (*output[Store], error) {
			b := in.Body
			return answer(d.ChangeStore(ctx, access.From(ctx).Scope(), in.ID, b.Version, func(s *Store) error {
				set(&s.Name, b.Name)
				set(&s.Timezone, b.Timezone)
				set(&s.DayCutoff, b.DayCutoff)
				set(&s.PriceMode, b.PriceMode)
				set(&s.Address, b.Address)
				set(&s.Phone, b.Phone)
				set(&s.Status, b.Status)
				return s.check()
			}))
		})
}

// Package actor names who did something, for histories and audit: a person, a terminal, or the platform itself.
package actor

import (
	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/smartpos/internal/access"
)

// Kind is what kind of actor it is.
type Kind string

// The kinds of actor.
const (
	User   Kind = "user"
	Device Kind = "device"
	System Kind = "system"
)

// Actor is who did it. ID is a user's or a device's id; System has a Name instead ("pgw-feed").
type Actor struct {
	Kind Kind
	ID   uuid.UUID
	Name string
}

// Of is the actor behind a verified caller.
func Of(p access.Principal) Actor {
	if p.Kind == access.KindDevice {
		return Actor{Kind: Device, ID: p.DeviceID}
	}
	return Actor{Kind: User, ID: p.UserID}
}

// Platform is the actor for what the named part of the platform does by itself.
func Platform(name string) Actor { return Actor{Kind: System, Name: name} }

// Ref is how the actor is kept and shown: the id, or the name of a part of the platform.
func (a Actor) Ref() string {
	if a.Kind == System {
		return a.Name
	}
	return a.ID.String()
}

// Parse reads what was kept.
func Parse(kind, ref string) (Actor, error) {
	if Kind(kind) == System {
		return Platform(ref), nil
	}
	known, err := uuid.Parse(ref)
	return Actor{Kind: Kind(kind), ID: known}, err
}

// Party is an actor as it travels.
type Party struct {
	Kind Kind   `json:"kind" enum:"user,device,system" doc:"A person, a terminal, or the platform itself"`
	ID   string `json:"id" doc:"The user's or the device's id; for the platform, the name of its part"`
}

// PartyOf is the actor as it travels.
func PartyOf(a Actor) Party { return Party{Kind: a.Kind, ID: a.Ref()} }

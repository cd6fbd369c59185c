// Package walls holds no code: its tests keep the walls between the systems, and between a concept's rules, its storage
// and its HTTP face.
package walls

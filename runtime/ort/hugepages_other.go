//go:build cgo && !linux

package ort

func useHugePages() (ended func()) { return nil }

func openingSession() (opened func()) { return func() {} }

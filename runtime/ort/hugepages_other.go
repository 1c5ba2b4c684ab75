//go:build cgo && !linux

package ort

func useHugePages(string) bool { return false }

func leftHugePages() {}

func openingSession() (opened func()) { return func() {} }

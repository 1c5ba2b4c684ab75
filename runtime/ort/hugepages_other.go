//go:build cgo && !linux

package ort

func useHugePages() (ended func()) { return nil }

func hugeMapped(bytes int) ([]byte, error) { return mapped(bytes) }

func openingSession() (opened func()) { return func() {} }

//go:build cgo && !linux

package ort

func useHugePages(string) bool { return false }

func leftHugePages() {}

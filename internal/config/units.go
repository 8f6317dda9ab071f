package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, written as 1048576, "500 MB" or "64 MiB".
type Size int64

// sizeUnits are ordered so that the largest that fits exactly is written.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"KB", 1e3}, {"B", 1},
}

// Int64 is the number of bytes.
func (s Size) Int64() int64 { return int64(s) }

// String writes the size exactly.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && int64(s)%u.bytes == 0 {
			return fmt.Sprintf("%d %s", int64(s)/u.bytes, u.name)
		}
	}
	return "0 B"
}

// MarshalText implements [encoding.TextMarshaler].
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Size) UnmarshalText(text []byte) error {
	wrong := fmt.Errorf("%.40q is no size: want a number of bytes such as 1048576, 500 MB or 64 MiB", text)
	number := strings.TrimSpace(string(text))
	unit := int64(1)
	for _, u := range sizeUnits {
		if len(number) > len(u.name) && strings.EqualFold(number[len(number)-len(u.name):], u.name) {
			number, unit = strings.TrimSpace(number[:len(number)-len(u.name)]), u.bytes
			break
		}
	}
	if strings.Trim(number, "0123456789.") != "" {
		return wrong // no sign, exponent or hexadecimal digits
	}
	value, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return wrong
	}
	value *= float64(unit)
	if value >= math.MaxInt64 {
		return fmt.Errorf("%.40q is too large a size: want less than 8 EiB", text)
	}
	if value != math.Trunc(value) {
		return fmt.Errorf("%.40q is no whole number of bytes", text)
	}
	*s = Size(value)
	return nil
}

// Duration is a time span, written as "30s" or "1m30s".
type Duration time.Duration

// String writes the duration as Decode reads it.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText implements [encoding.TextMarshaler].
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("%.40q is no time span: want a number with a unit such as 500ms, 30s or 10m", text)
	}
	*d = Duration(v)
	return nil
}

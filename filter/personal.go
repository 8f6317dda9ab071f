package filter

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/irgdata/irgdata"
)

var (
	emailAddress = regexp.MustCompile(`(?i)\b[a-z0-9][a-z0-9._%+-]{0,63}@(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}\b`)
	// exampleDomain is what RFC 2606 keeps for examples.
	exampleDomain = regexp.MustCompile(`(?i)[@.](?:example\.(?:com|net|org)|example|test|invalid|localhost)$`)
	// phoneNumber is in the international form, or in that of North America.
	phoneNumber = regexp.MustCompile(`(?:\+[1-9][0-9]{0,2}[ .-]?(?:\([0-9]{1,5}\)[ .-]?)?[0-9]{1,4}(?:[ .-]?[0-9]{2,4}){2,4}|(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[.-])[2-9][0-9]{2}[.-][0-9]{4})\b`)
	// fictional numbers are kept for films and books.
	fictional  = regexp.MustCompile(`555[ .-]?01[0-9]{2}$`)
	cardNumber = regexp.MustCompile(`\b[3-6][0-9]{3}(?:[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}|[ -]?[0-9]{6}[ -]?[0-9]{5})\b`)
	iban       = regexp.MustCompile(`\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b`)
	ipv4       = regexp.MustCompile(`(?i)(?:\bv(?:ersion)? ?)?\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b`)
	ipv6       = regexp.MustCompile(`(?i)(?:[0-9a-f]{1,4}:){3,7}(?::?[0-9a-f]{1,4}){1,5}`)
)

// Personal rejects prompts that hold more than most data by which a person can
// be found: e-mail addresses, phone numbers in the international form or North
// America's, card numbers and IBANs whose check digits are right, and public IP
// addresses. Those that are kept for examples and fiction are left alone.
func Personal(most int) Rule {
	return Rule{
		Name: "personal", Version: "1", Slots: []irgdata.Slot{irgdata.SlotPrompt}, Unit: "personal_data", Threshold: float64(most),
		Measure: ofText(func(text string) float64 { return float64(personal(text)) }),
		Reject: func(slot irgdata.Slot, value float64) string {
			if value <= float64(most) {
				return ""
			}
			return fmt.Sprintf("the %s text holds %.0f addresses or numbers of persons, such as an e-mail address or a phone number, want at most %d", slot, value, most)
		},
	}
}

// personal counts what it finds; no character counts twice.
func personal(text string) int {
	n := 0
	for _, kind := range []struct {
		form *regexp.Regexp
		is   func(string) bool
	}{
		{emailAddress, func(s string) bool { return !exampleDomain.MatchString(s) }},
		{iban, validIBAN},
		{cardNumber, validCard},
		{ipv6, publicAddress},
		{ipv4, publicAddress},
		{phoneNumber, func(s string) bool { return len(digits(s)) >= 10 && !fictional.MatchString(s) }},
	} {
		text = kind.form.ReplaceAllStringFunc(text, func(s string) string {
			if !kind.is(s) {
				return s
			}
			n++
			return "\x00" // so that no other kind finds the rest of it
		})
	}
	return n
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// validCard reports whether the digits pass Luhn's check (ISO/IEC 7812-1).
func validCard(s string) bool {
	d := digits(s)
	sum := 0
	for i := range len(d) {
		v := int(d[len(d)-1-i] - '0')
		if i%2 == 1 {
			v *= 2
		}
		sum += v/10 + v%10
	}
	return sum%10 == 0
}

// validIBAN reports whether the check digits are right (ISO 13616): the first
// four characters behind the others, letters as 10 to 35, modulo 97.
func validIBAN(s string) bool {
	s = strings.ReplaceAll(s, " ", "")
	if len(s) < 15 || len(s) > 34 {
		return false
	}
	rest := 0
	for _, c := range s[4:] + s[:4] {
		if c <= '9' {
			rest = (rest*10 + int(c-'0')) % 97
		} else {
			rest = (rest*100 + int(c-'A') + 10) % 97
		}
	}
	return rest == 1
}

// publicAddress reports whether s is an IP address that can be someone's.
func publicAddress(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.IsGlobalUnicast() && !a.IsPrivate()
}

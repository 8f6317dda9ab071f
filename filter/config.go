package filter

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/irgdata/irgdata/internal/config"
)

// Config says which rules judge, and how.
type Config struct {
	// Defaults has the rules that are not listed judge too, with their defaults;
	// else just those listed do.
	Defaults bool      `yaml:"defaults"`
	Rules    []Entry   `yaml:"rules"`
	Select   Selection `yaml:"select"`
}

// Entry sets a rule.
type Entry struct {
	Rule   string `yaml:"rule"`
	Action Action `yaml:"action,omitempty"` // none: reject
	// Parameters are those of the rule's kind: float64 or []any of strings.
	Parameters map[string]any `yaml:",inline"`

	at int // the entry's place in the file
}

// DefaultConfig has all rules judge that are not optional, and selects nothing.
// Only what is surely unusable fails.
func DefaultConfig() Config {
	return Config{Defaults: true, Rules: []Entry{}, Select: Selection{Modes: map[string]int{}, Sources: map[string]int{}, Prefer: PreferHash}}
}

// Complete checks the entries, fills in what they leave out, and lists them in
// the order in which they judge. It is given to the file's entries once. The key
// is that of the mistake, below that of the configuration.
func (c Config) Complete() (out Config, key string, err error) {
	kinds := Kinds()
	listed := map[string]Entry{}
	for i, e := range c.Rules {
		e.at = i
		at := fmt.Sprintf("rules[%d]", i)
		kind, err := kindOf(kinds, e.Rule)
		if err != nil {
			return c, at, err
		}
		if first, twice := listed[e.Rule]; twice {
			return c, at, fmt.Errorf("rule %s is listed twice, first as rules[%d]: want each once", e.Rule, first.at)
		}
		if e, key, err = kind.complete(e); err != nil {
			return c, strings.TrimSuffix(at+"."+key, "."), err
		}
		listed[e.Rule] = e
	}
	out = Config{Defaults: c.Defaults, Rules: []Entry{}, Select: c.Select}
	for _, kind := range kinds {
		e, ok := listed[kind.Name]
		if !ok && c.Defaults && !kind.Optional {
			e, _, err = kind.complete(Entry{Rule: kind.Name, at: -1})
			if err != nil {
				return c, "", err
			}
			ok = true
		}
		if ok {
			out.Rules = append(out.Rules, e)
		}
	}
	if key, err := c.Select.check(); err != nil {
		return c, "select." + key, err
	}
	return out, "", nil
}

func kindOf(kinds []Kind, name string) (Kind, error) {
	var names []string
	for _, k := range kinds {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	if name == "" {
		return Kind{}, errors.New("it names no rule: want `rule: ` and one of " + strings.Join(names, ", "))
	}
	return Kind{}, fmt.Errorf("there is no rule %q: %s", name, config.Suggest(name, names))
}

// complete checks an entry's parameters and fills the others in.
func (k Kind) complete(e Entry) (Entry, string, error) {
	if e.Action == "" {
		e.Action = Reject
	}
	given := e.Parameters
	e.Parameters = map[string]any{}
	var names []string
	for _, p := range k.Parameters {
		names = append(names, p.Name)
		value, ok := given[p.Name]
		if !ok {
			value = p.Default
			if p.Texts {
				value = []any{}
			}
		}
		value, err := p.check(value)
		if err != nil {
			return e, p.Name, err
		}
		e.Parameters[p.Name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		switch {
		case slices.Contains(names, name):
		case len(names) == 0:
			return e, name, fmt.Errorf("rule %s has no parameters: want `action`, or nothing", k.Name)
		default:
			return e, name, fmt.Errorf("rule %s has no parameter %q: %s", k.Name, name, config.Suggest(name, append(names, "action")))
		}
	}
	return e, "", nil
}

// check returns the value as it is kept: whole numbers as int, others as
// float64, lists as []any of strings.
func (p Parameter) check(value any) (any, error) {
	if p.Texts {
		list, ok := value.([]any)
		if !ok {
			return nil, fmt.Errorf("is %v: want a list of texts", value)
		}
		for _, item := range list {
			if _, ok := item.(string); !ok {
				return nil, fmt.Errorf("holds %v: want texts", item)
			}
		}
		return list, nil
	}
	var x float64
	switch value := value.(type) {
	case float64:
		x = value
	case int:
		x = float64(value)
	default:
		return nil, fmt.Errorf("is %v: want a number", value)
	}
	switch {
	case p.Whole && x != math.Trunc(x):
		return nil, fmt.Errorf("is %v: want a whole number", x)
	case x >= p.Least && x <= p.Most:
	case p.Most == unlimited:
		return nil, fmt.Errorf("is %v: want a number of at least %v", x, p.Least)
	default:
		return nil, fmt.Errorf("is %v: want a number between %v and %v", x, p.Least, p.Most)
	}
	if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
		return int(x), nil
	}
	return x, nil
}

// Set returns the completed configuration with one value changed, as a command
// line writes it: "blur.max=7" or "chatter.action=warn". A rule that was not
// listed is from then on.
func (c Config) Set(assignment string) (Config, error) {
	name, value, ok := strings.Cut(assignment, "=")
	rule, parameter, dotted := strings.Cut(name, ".")
	if !ok || !dotted {
		return c, fmt.Errorf("%q: want rule.parameter=value, such as blur.max=7 or chatter.action=warn", assignment)
	}
	kind, err := kindOf(Kinds(), rule)
	if err != nil {
		return c, fmt.Errorf("%q: %w", assignment, err)
	}
	e := Entry{Rule: rule, at: -1}
	rules := slices.Clone(c.Rules)
	at := slices.IndexFunc(rules, func(e Entry) bool { return e.Rule == rule })
	if at >= 0 {
		e = rules[at]
	}
	e.Parameters = maps.Clone(e.Parameters)
	if parameter == "action" {
		err = e.Action.UnmarshalText([]byte(value))
	} else {
		var x any = value
		if number, err := strconv.ParseFloat(value, 64); err == nil {
			x = number
		} else if p := slices.IndexFunc(kind.Parameters, func(p Parameter) bool { return p.Name == parameter }); p >= 0 && kind.Parameters[p].Texts {
			return c, fmt.Errorf("%q: a list can only be set in the configuration", assignment)
		}
		if e.Parameters == nil {
			e.Parameters = map[string]any{}
		}
		e.Parameters[parameter] = x
	}
	if err == nil {
		e, _, err = kind.complete(e)
	}
	if err != nil {
		return c, fmt.Errorf("%q: %w", assignment, err)
	}
	if at >= 0 {
		rules[at] = e
	} else {
		rules = append(rules, e)
	}
	c.Rules = rules
	c, _, err = c.Complete()
	return c, err
}

// New makes the rules of a completed configuration. The key is that of the
// mistake.
func (c Config) New(e Environment) (rules []Rule, key string, err error) {
	kinds := Kinds()
	for _, entry := range c.Rules {
		kind, err := kindOf(kinds, entry.Rule)
		if err != nil {
			return nil, "rules", err
		}
		if kind.Topic != "" && !slices.Contains(e.Topics, kind.Topic) {
			continue // nobody is asked, so there is nothing to judge by
		}
		v := Values{numbers: map[string]float64{}, texts: map[string][]string{}}
		for name, value := range entry.Parameters {
			switch value := value.(type) {
			case int:
				v.numbers[name] = float64(value)
			case float64:
				v.numbers[name] = value
			case []any:
				for _, text := range value {
					v.texts[name] = append(v.texts[name], fmt.Sprint(text))
				}
			}
		}
		r, err := kind.New(v, e)
		if err != nil {
			return nil, fmt.Sprintf("rules[%d]", entry.at), fmt.Errorf("rule %s: %w", entry.Rule, err)
		}
		r.Action, r.Parameters = entry.Action, v.numbers
		rules = append(rules, r)
	}
	return rules, "", nil
}

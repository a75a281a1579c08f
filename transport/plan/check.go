package plan

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/config"
)

// A problem is something wrong with a file.
type problem struct {
	path string   // of the setting, in the names of Go
	told string   // how much of the path comes before err; "" for all
	err  error    // goes on where that ends
	from []string // the paths of other settings of which it may be the fault
}

// check returns everything that is wrong with f, which is complete. The names of
// fields are spelled as spell says.
func check(f File, spell func(name string) string) []problem {
	c := checker{file: f, spell: spell, seen: make(map[identity]string)}
	if f.Version != 1 {
		c.report("Version", "is %d, want 1", f.Version)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Accounts)) {
		c.account(fmt.Sprintf("Accounts[%s]", name), f.Accounts[name])
	}
	for _, name := range slices.Sorted(maps.Keys(f.Endpoints)) {
		c.endpoint(fmt.Sprintf("Endpoints[%s]", name), f.Endpoints[name])
	}
	c.stack("Defaults", f.Defaults)
	c.settings("", f.Queue.Validate())
	for _, name := range slices.Sorted(maps.Keys(f.Functions)) {
		c.function(name, f.Functions[name])
	}
	return c.problems
}

// A checker collects what is wrong.
type checker struct {
	file     File
	spell    func(name string) string
	problems []problem
	seen     map[identity]string // functions, by what they are

	// inDefaults are the problems of the defaults, which every function would have
	// again.
	inDefaults []string
}

func (c *checker) report(path, format string, args ...any) {
	c.problems = append(c.problems, problem{path: path, err: fmt.Errorf(format, args...)})
}

func (c *checker) account(path string, a Account) {
	if a.ClientID == "" {
		c.report(path+".ClientID", "is empty; it is on the page of your account, beside the secret")
	}
	if a.ClientSecret.Reveal() == "" {
		c.report(path+".ClientSecret", "is empty; take it from the environment or a file with ${…}")
	}
	if a.BaseURL != "" {
		c.url(path+".BaseURL", a.BaseURL)
	}
	if a.Limit != nil {
		c.settings(path+".", a.Limit.Validate())
	}
}

// url does not show the URL, which may hold a secret.
func (c *checker) url(path, text string) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		c.report(path, "is no URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		c.report(path, "must begin with http:// or https:// and name a host")
	case u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		c.report(path, "must have no user, query or fragment")
	}
}

func (c *checker) endpoint(path string, e policy.Endpoint) {
	alone := policy.Failover{Endpoints: []policy.Endpoint{e}}
	for _, err := range leaves(alone.Validate()) {
		var setting *policy.SettingError
		if errors.As(err, &setting) {
			inside := strings.TrimPrefix(setting.Path, "Failover.Endpoints[0]")
			c.report(path+inside, "is %s, want %s", setting.Value, c.spelled(setting.Want))
		}
	}
}

func (c *checker) function(name string, f Function) {
	path := fmt.Sprintf("Functions[%s]", name)
	switch _, known := c.file.Accounts[f.Account]; {
	case f.ID == "" && f.Account != "":
		c.report(path+".Account", "is set for a function without an id; give it the id that it has in that account")
	case f.ID == "" && f.Model != "":
		c.report(path+".Model", "is set for a function without an id; only functions of Nyckel have a model to pin")
	case f.ID == "" || known:
	case f.Account != "":
		c.report(path+".Account", "is %q, which is not known%s", f.Account, config.Suggest(f.Account, slices.Sorted(maps.Keys(c.file.Accounts))))
	case len(c.file.Accounts) == 0:
		c.report(path+".ID", "belongs to no account; describe one under accounts")
	default:
		c.report(path+".Account", "is empty, and there are several accounts; name one of %s",
			strings.Join(slices.Sorted(maps.Keys(c.file.Accounts)), ", "))
	}
	if f.ID == "." || f.ID == ".." { // no escape keeps these from being a step in the path
		c.report(path+".ID", "is %q, which cannot be one", f.ID)
	}
	same := identity{f.ID, f.Account, f.Model}
	if twin, ok := c.seen[same]; ok && f.ID != "" {
		c.report(path+".ID", "is also that of %s, with the same model; one name is enough, or pin another model", twin)
	}
	c.seen[same] = name
	c.stack(path, f.Stack)
	c.queue(path, f)
}

// An identity is what tells functions of the service apart.
type identity struct{ id, account, model string }

// stack checks the settings of each layer, the rules, and whether layers and
// figures go together.
func (c *checker) stack(path string, s policy.Stack) {
	before := len(c.problems)
	c.settings(path+".", s.Validate())
	if s.Fallback != nil && (len(s.Fallback.Rules) > 0 || s.Fallback.Static != nil) {
		for _, p := range fallback.Check(*s.Fallback, c.spell) {
			ladder := path + ".Fallback"
			for i := range p.From {
				p.From[i] = ladder + "." + p.From[i]
			}
			c.problems = append(c.problems, problem{strings.TrimSuffix(ladder+"."+p.Path, "."), ladder, p.Err, p.From})
		}
	}
	mine := c.problems[before:]
	if path == "Defaults" {
		for _, p := range mine {
			c.inDefaults = append(c.inDefaults, strings.TrimPrefix(p.path, path)+p.err.Error())
		}
		return
	}
	c.problems = append(c.problems[:before], slices.DeleteFunc(mine, func(p problem) bool {
		return slices.Contains(c.inDefaults, strings.TrimPrefix(p.path, path)+p.err.Error())
	})...)
}

// settings reports what the Validate method of settings at a path returned.
func (c *checker) settings(path string, err error) {
	for _, err := range leaves(err) {
		if setting, ok := errors.AsType[*policy.SettingError](err); ok {
			c.report(path+fieldOf(setting.Path), "is %s, want %s", setting.Value, c.spelled(setting.Want))
			continue
		}
		c.report(strings.TrimSuffix(path, "."), "%s", c.spelled(strings.TrimPrefix(err.Error(), "policy: ")))
	}
}

// fieldName finds the names of fields in a text: those with a capital letter inside,
// or a dot, and some that stand in the middle of a sentence.
var fieldName = regexp.MustCompile(`\b[A-Z][a-zA-Z]*(?:\.[A-Z][a-zA-Z]*|\[\d+\])+|\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b|\b(?:Base|Cache|Header|Key|Rules|Static|Token|Total)\b`)

// spelled returns text with the names of fields in it as the file has them.
func (c *checker) spelled(text string) string { return fieldName.ReplaceAllStringFunc(text, c.spell) }

// fieldOf returns the path in a [policy.Stack] of one that begins with the name of
// a type.
func fieldOf(path string) string {
	if rest, ok := strings.CutPrefix(path, "Timeout."); ok {
		return "Attempt." + rest
	}
	return path
}

// leaves returns the errors that err was joined from.
func leaves(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, leaves(one)...)
	}
	return all
}

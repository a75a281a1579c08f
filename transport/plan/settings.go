package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/config"
)

// A Setting is one setting as it is in force.
type Setting struct {
	// Owner is what it belongs to: "accounts.main", "functions.ticket_routing".
	Owner string

	// Key is the rest of its path in the file: "retry.attempts".
	Key string

	// Value is written as in a file. What came from outside stands here as the
	// reference, and a secret as a mask.
	Value string

	// Origin says where the value is from, Line where it stands in the file, zero if
	// it does not.
	Origin Origin
	Line   int
}

// An Origin says who set a setting.
type Origin string

const (
	FromOwner    Origin = "file"     // what the setting belongs to
	FromDefaults Origin = "defaults" // the file's defaults, its queue's for those of queues
	BuiltIn      Origin = "built-in" // nobody: it is what is left out, or follows from others
)

// Settings returns the settings of the accounts, the endpoints, the queue and the
// functions, in this order: of accounts, endpoints and items of lists those that are
// set, and of the others every one, with what holds where the file says nothing. Of
// the queue there is something only if the file says something of it. Funcs that
// nobody has set are left out. It is for people to read: no secret is in it.
func (p *Plan) Settings() []Setting {
	f := p.file()
	w := walker{source: p.source(), hide: f.secrets(), queue: f.usesQueue()}
	for _, name := range slices.Sorted(maps.Keys(f.Accounts)) {
		account := f.Accounts[name]
		w.own("Accounts["+name+"]", reflect.ValueOf(account))
	}
	for _, name := range slices.Sorted(maps.Keys(f.Endpoints)) {
		endpoint := f.Endpoints[name]
		w.own("Endpoints["+name+"]", reflect.ValueOf(endpoint))
	}
	if w.queue {
		w.owner = "Queue"
		w.structure("", reflect.ValueOf(f.Queue), reflect.ValueOf(f.Queue.WithDefaults()), false)
	}
	for _, name := range p.Functions() {
		function := f.Functions[name]
		full := function
		full.Stack, full.Queue = full.WithDefaults(), full.Work()
		w.owner = "Functions[" + name + "]"
		w.structure("", reflect.ValueOf(function), reflect.ValueOf(full), false)
	}
	return w.all
}

// A walker lists the settings of one owner after the other.
type walker struct {
	source *config.Source // may be nil
	hide   []string
	queue  bool   // list what is of the queue
	owner  string // its path
	all    []Setting
}

// own lists the settings of something that only other packages have defaults for.
func (w *walker) own(path string, v reflect.Value) {
	w.owner = path
	w.structure("", v, v, true)
}

// structure lists the fields of a struct. Those that a part of a list leaves out are
// left out here.
func (w *walker) structure(path string, said, holds reflect.Value, inList bool) {
	for _, field := range reflect.VisibleFields(holds.Type()) {
		if !field.IsExported() || field.Anonymous || field.Tag.Get("config") == "-" || path == "" && field.Name == "Name" {
			continue
		}
		one := holds.FieldByIndex(field.Index)
		if inList && one.IsZero() || isOpaque(field.Type) || !w.queue && field.Type == reflect.TypeFor[Work]() {
			continue
		}
		w.value(strings.TrimPrefix(path+"."+field.Name, "."), said.FieldByIndex(field.Index), one, inList)
	}
}

// isOpaque reports whether a file cannot say anything of values of the type.
func isOpaque(t reflect.Type) bool {
	if t.Kind() != reflect.Pointer {
		return false
	}
	return !slices.ContainsFunc(reflect.VisibleFields(t.Elem()), func(f reflect.StructField) bool { return f.IsExported() })
}

func (w *walker) value(path string, said, holds reflect.Value, inList bool) {
	switch v := holds.Interface().(type) {
	case policy.Secret, time.Duration:
		w.add(path, said, holds, fmt.Sprint(v))
		return
	}
	switch holds.Kind() {
	case reflect.Pointer:
		w.pointer(path, said, holds, inList)
	case reflect.Struct:
		w.structure(path, said, holds, inList)
	case reflect.Map:
		keys := slices.SortedFunc(slices.Values(holds.MapKeys()), func(a, b reflect.Value) int {
			return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
		})
		for _, key := range keys {
			w.value(fmt.Sprintf("%s[%v]", path, key), said.MapIndex(key), holds.MapIndex(key), true)
		}
	case reflect.Slice:
		w.list(path, said, holds)
	case reflect.Func, reflect.Interface:
		if text := w.text(path); text != "" {
			w.add(path, said, holds, text)
		} else if holds.Kind() == reflect.Interface && !holds.IsNil() {
			w.add(path, said, holds, fmt.Sprint(holds.Interface()))
		}
	case reflect.String:
		w.add(path, said, holds, holds.String())
	default:
		w.add(path, said, holds, fmt.Sprint(holds.Interface()))
	}
}

// pointer lists what v points to. What is not there is off.
func (w *walker) pointer(path string, said, holds reflect.Value, inList bool) {
	switch {
	case holds.IsNil():
		w.add(path, said, holds, "null")
	case said.IsNil(): // made by the package
		w.value(path, reflect.New(holds.Type().Elem()).Elem(), holds.Elem(), inList)
	default:
		w.value(path, said.Elem(), holds.Elem(), inList)
	}
}

// list lists items that are structs one by one, others in one line.
func (w *walker) list(path string, said, holds reflect.Value) {
	if holds.Type() == reflect.TypeFor[json.RawMessage]() {
		w.add(path, said, holds, string(holds.Bytes()))
		return
	}
	if holds.Type().Elem().Kind() != reflect.Struct {
		items := make([]string, holds.Len())
		for i := range items {
			items[i] = fmt.Sprint(holds.Index(i).Interface())
		}
		w.add(path, said, holds, "["+strings.Join(items, ", ")+"]")
		return
	}
	for i := range holds.Len() {
		item := fmt.Sprintf("%s[%d]", path, i)
		if name := w.text(item); name != "" { // of something that is described elsewhere
			w.add(item, holds.Index(i), holds.Index(i), name)
			continue
		}
		before := holds.Index(i)
		if said.Len() == holds.Len() {
			before = said.Index(i)
		}
		w.structure(item, before, holds.Index(i), true)
	}
}

func (w *walker) add(path string, said, holds reflect.Value, text string) {
	s := Setting{Owner: config.Key(w.owner), Key: config.Key(path), Origin: BuiltIn}
	at, origin := w.place(path)
	if at != "" && same(said, holds) {
		s.Origin, s.Line = origin, w.source.Line(at)
	}
	if w.source == nil && same(said, holds) && !said.IsZero() {
		s.Origin = FromOwner
	}
	if s.Line > 0 {
		text = cmp.Or(w.source.Text(at), text)
	}
	s.Value = w.shown(path, at, text)
	w.all = append(w.all, s)
}

// same reports whether a value holds as it was said.
func same(said, holds reflect.Value) bool {
	if !said.IsValid() {
		return false
	}
	_, isSecret := said.Interface().(policy.Secret)
	if isSecret || said.Kind() == reflect.Func {
		return said.IsZero() == holds.IsZero()
	}
	return reflect.DeepEqual(said.Interface(), holds.Interface())
}

var listItem = regexp.MustCompile(`\[\d+\]`)

// place returns the full path of the value in the file, "" if it is not there, and
// who has it.
func (w *walker) place(path string) (string, Origin) {
	if w.source == nil {
		return "", BuiltIn
	}
	if full := w.owner + "." + path; w.source.Has(full) {
		return full, FromOwner
	}
	if at := listItem.FindStringIndex(path); at != nil && w.source.Has(w.owner+"."+path[:at[0]]) { // lists are taken as a whole
		return w.owner + "." + path[:at[0]], FromOwner
	}
	full := "Defaults." + path
	if strings.HasPrefix(path, "Queue.") {
		full = path
	}
	if strings.HasPrefix(w.owner, "Functions[") && w.source.Has(full) {
		return full, FromDefaults
	}
	return "", BuiltIn
}

func (w *walker) text(path string) string {
	if at, _ := w.place(path); at != "" {
		return w.source.Text(at)
	}
	return ""
}

// mask stands for a secret.
const mask = "********"

// shown returns what is shown of a value.
func (w *walker) shown(path, at, text string) string {
	isReference := at != "" && w.source.FromElsewhere(at)
	if !isReference && at != "" && strings.HasPrefix(text, "[") { // a list with a reference in an item
		for i := 0; w.source.Has(fmt.Sprintf("%s[%d]", at, i)); i++ {
			isReference = isReference || w.source.FromElsewhere(fmt.Sprintf("%s[%d]", at, i))
		}
	}
	switch {
	case w.isSecret(path):
		return mask
	case isReference && w.source.Text(at) != "":
		text = w.source.Text(at) // names where it is from
	case isReference:
		return mask
	}
	if strings.HasSuffix(path, "URL") {
		text = withoutSecrets(text)
	}
	for _, secret := range w.hide {
		if len(secret) >= leastSecret {
			text = strings.ReplaceAll(text, secret, mask)
		}
	}
	return quoted(text)
}

// isSecret reports whether the setting at path is one that nobody is to see.
func (w *walker) isSecret(path string) bool {
	_, field, isHeader := strings.Cut(path, "Header[")
	return isHeader && policy.IsSecret(strings.TrimSuffix(field, "]")) || strings.HasSuffix(path, "Secret")
}

// aUser finds those who are in URLs.
var aUser = regexp.MustCompile(`//[^/?#]*@`)

// withoutSecrets returns a URL without its query and user, in which references may be
// anywhere. It was checked that there is no user, but not in a default that a
// reference did not need.
func withoutSecrets(text string) string {
	text = aUser.ReplaceAllString(text, "//"+mask+"@")
	address, _, found := strings.Cut(text, "?")
	if !found {
		return text
	}
	return address + "?" + mask
}

// quoted returns text so that it stays on one line.
func quoted(text string) string {
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return strconv.Quote(text)
	}
	return text
}

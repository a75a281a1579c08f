package cache

import "strings"

// A wordMeaning is what is known about a word of English. Words of other languages
// are not known: all of them count, and only numbers forbid a likeness.
type wordMeaning struct {
	grammar bool  // says nothing about what a question is about
	negates bool  // turns a question around
	sides   sides // of opposites that it stands on
}

// sides are sets of pairs of opposites: those of which the left side is there,
// and those of which the right one is.
type sides struct{ left, right uint64 }

// grammar has the words of grammar, and of politeness. None of them negates.
const grammar = `
a an the this that these those there here
i me my mine myself we us our ours you your yours he him his she her hers it its they them their theirs
who whom whose which what when where why how
am is are was were be been being do does did doing done has have had having
can could will would shall should may might must ought
to of in on at by for from with about into onto over under between during as than
and or but if so because while then else
s m re ve ll d im ive id ill youre its thats whats
just also too very really quite please thanks thank hello hi hey any some such own same other
get got getting go going want wanted need needed like know tell help let make
yes ok okay
`

// negating has the words that turn a question around, beside those in n't.
const negating = `
not no nor never none nobody nothing nowhere neither without cannot
dont doesnt didnt cant couldnt wont wouldnt shouldnt isnt arent wasnt werent hasnt havent hadnt aint
`

// opposites has pairs of which two different questions may have one side each.
const opposites = `
on / off
in / out
up / down
before / after
above / below
inside / outside
over / under
more most / less least fewer
first / last
always / sometimes
all / some
yes / no
true / false
left / right
enable enabled enabling / disable disabled disabling
activate activated activating / deactivate deactivated deactivating
allow allowed permit grant / deny denied forbid revoke
accept accepted approve approved / reject rejected decline declined refuse refused
open opened opening / close closed closing
start begin / stop end finish
add added adding / remove removed removing delete deleted
lock locked block blocked freeze frozen / unlock unlocked unblock unblocked unfreeze
increase increased raise raised / decrease decreased reduce reduced
high higher max maximum / low lower min minimum
fast faster early / slow slower late
buy bought / sell sold
credit credited deposit deposited / debit debited withdraw withdrawal withdrawn
send sent outgoing / receive received incoming
income / expense
lend / borrow
win won gain / lose lost loss
pass passed succeed / fail failed
login / logout
install / uninstall
connect connected / disconnect disconnected
import / export
upload / download
subscribe subscribed / unsubscribe unsubscribed
`

// lexicon has the words that are known, folded.
var lexicon = newLexicon()

func newLexicon() map[string]wordMeaning {
	words := map[string]wordMeaning{}
	change := func(list string, change func(m *wordMeaning)) {
		for _, word := range strings.Fields(list) {
			m := words[word]
			change(&m)
			words[word] = m
		}
	}
	change(grammar, func(m *wordMeaning) { m.grammar = true })
	change(negating, func(m *wordMeaning) { m.negates = true })
	for i, pair := range strings.Split(strings.TrimSpace(opposites), "\n") { // of which there are no more than 64
		left, right, _ := strings.Cut(pair, "/")
		change(left, func(m *wordMeaning) { m.sides.left |= 1 << i })
		change(right, func(m *wordMeaning) { m.sides.right |= 1 << i })
	}
	return words
}

// oppose reports whether there is a pair of opposites of which each of the two
// has one side only, and not the same.
func (s sides) oppose(other sides) bool {
	left, right := s.left&^s.right, s.right&^s.left
	otherLeft, otherRight := other.left&^other.right, other.right&^other.left
	return left&otherRight|right&otherLeft != 0
}

package cache

import (
	"math"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// shares says what each identity has in a shard, by when it was last used.
type shares map[uint64]*share

// What a share and the place of an item in it weigh, in bytes.
const (
	shareOverhead = 600
	linkOverhead  = 160
)

type share struct {
	keys  *simplelru.LRU[key, struct{}]
	bytes int64
}

func (s shares) add(identity uint64, k key, bytes int64) {
	own := s[identity]
	if own == nil {
		own = &share{keys: newLRU[key, struct{}](math.MaxInt)}
		s[identity] = own
	}
	own.keys.Add(k, struct{}{})
	own.bytes += bytes
}

func (s shares) remove(identity uint64, k key, bytes int64) {
	own := s[identity]
	own.keys.Remove(k)
	own.bytes -= bytes
	if own.keys.Len() == 0 {
		delete(s, identity)
	}
}

func (s shares) touch(identity uint64, k key) {
	if own := s[identity]; own != nil {
		own.keys.Get(k)
	}
}

// bounded reports whether the owner of the item has a share of his own.
func (sh *shard) bounded(item item) bool {
	return sh.layout.cfg.IdentityShare < 1 && item.identity != 0
}

func (sh *shard) shareBytes() int64 {
	return int64(sh.layout.cfg.IdentityShare * float64(sh.maxBytes()))
}

// makeRoomOf drops what an identity has over its share, but one item.
func (sh *shard) makeRoomOf(identity uint64) {
	maxBytes := sh.shareBytes()
	maxEntries := int(sh.layout.cfg.IdentityShare * float64(sh.maxEntries()))
	for own := sh.shares[identity]; own.keys.Len() > 1 && (own.bytes > maxBytes || own.keys.Len() > maxEntries); {
		k, _, _ := own.keys.GetOldest()
		sh.drop(k, crowded)
	}
}

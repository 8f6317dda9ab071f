package export

import (
	"encoding/binary"
	"math"

	"github.com/irgdata/irgdata"
)

// groups are pairs that must stay together when a dataset is split: those of
// the same prompt and those of the same image, and whatever is connected
// through them, so that a model is validated on nothing that it trained on.
type groups struct {
	parent []int32          // of each row, in the order of add (union-find)
	least  []irgdata.Digest // of the rows under a root: the lowest identity
	first  map[uint64]int32 // the row that first had a prompt or an image
}

func newGroups() *groups { return &groups{first: map[uint64]int32{}} }

// add adds the next row, with its prompt and the name of its image.
func (g *groups) add(id irgdata.Digest, prompt, image string) {
	row := int32(len(g.parent))
	g.parent, g.least = append(g.parent, row), append(g.least, id)
	for _, sum := range []irgdata.Digest{
		irgdata.NewDigester("prompt").Text(prompt).Sum(),
		irgdata.NewDigester("image").Text(image).Sum(),
	} {
		key := binary.BigEndian.Uint64(sum[:8]) // by chance the same: a group too many is joined
		if other, ok := g.first[key]; ok {
			g.join(row, other)
		} else {
			g.first[key] = row
		}
	}
}

func (g *groups) root(row int32) int32 {
	for g.parent[row] != row {
		g.parent[row] = g.parent[g.parent[row]]
		row = g.parent[row]
	}
	return row
}

func (g *groups) join(a, b int32) {
	a, b = g.root(a), g.root(b)
	if a == b {
		return
	}
	if string(g.least[b][:]) < string(g.least[a][:]) {
		a, b = b, a
	}
	g.parent[b] = a // a has the lower identity, which is then that of both
}

// held reports whether a row is among the part that is held back. It depends
// on the pairs of its group alone, not on the others nor on their order.
func (g *groups) held(row int, part float64) bool {
	sum := irgdata.NewDigester("split/1").Digest(g.least[g.root(int32(row))]).Sum()
	return float64(binary.BigEndian.Uint64(sum[:8])>>11) < part*math.Exp2(53)
}

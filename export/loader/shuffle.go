package loader

import "math/bits"

// mersenne is Python's random.Random: the MT19937 of Matsumoto and Nishimura,
// seeded by init_by_array as CPython seeds it (Modules/_randommodule.c).
type mersenne struct {
	state [624]uint32
	next  int
}

func newMersenne(seed uint64) *mersenne {
	key := []uint32{uint32(seed)}
	if seed>>32 != 0 {
		key = append(key, uint32(seed>>32))
	}
	m := &mersenne{next: len(mersenne{}.state)}
	s := &m.state
	s[0] = 19650218
	for i := 1; i < len(s); i++ {
		s[i] = 1812433253*(s[i-1]^s[i-1]>>30) + uint32(i)
	}
	i, j := 1, 0
	wrap := func() {
		if i++; i >= len(s) {
			s[0] = s[len(s)-1]
			i = 1
		}
	}
	for range max(len(s), len(key)) {
		s[i] = (s[i] ^ (s[i-1]^s[i-1]>>30)*1664525) + key[j] + uint32(j)
		wrap()
		j = (j + 1) % len(key)
	}
	for range len(s) - 1 {
		s[i] = (s[i] ^ (s[i-1]^s[i-1]>>30)*1566083941) - uint32(i)
		wrap()
	}
	s[0] = 1 << 31
	return m
}

func (m *mersenne) uint32() uint32 {
	s := &m.state
	if m.next >= len(s) {
		for i := range s {
			y := s[i]&(1<<31) | s[(i+1)%len(s)]&(1<<31-1)
			s[i] = s[(i+397)%len(s)] ^ y>>1 ^ y&1*0x9908b0df
		}
		m.next = 0
	}
	y := s[m.next]
	m.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// below is random.Random._randbelow.
func (m *mersenne) below(n int) int {
	k := bits.Len(uint(n))
	for {
		if r := int(m.uint32() >> (32 - k)); r < n {
			return r
		}
	}
}

// shuffle is random.Random(seed).shuffle(x).
func shuffle[T any](x []T, seed uint64) {
	m := newMersenne(seed)
	for i := len(x) - 1; i > 0; i-- {
		j := m.below(i + 1)
		x[i], x[j] = x[j], x[i]
	}
}

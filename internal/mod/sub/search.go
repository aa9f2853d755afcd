package sub

import (
	"slices"

	"moongate/internal/base/ascii"
)

// searcher finds several words at a time, without regard to case: it looks at the byte where the shortest word would end,
// and that byte tells how far to go on (Horspool's way).
type searcher struct {
	words    []word // by the byte at the shortest one's end, then as given
	min, max int
	shift    [256]uint8
	index    [257]uint16 // the words with a byte there
}

type word struct {
	text  []byte // in lower case
	place int    // in the order given
}

// prepare makes the tables for s.words, of which there is at least one and none is empty.
func (s *searcher) prepare() {
	s.min, s.max = len(s.words[0].text), 0
	for i := range s.words {
		s.min, s.max = min(s.min, len(s.words[i].text)), max(s.max, len(s.words[i].text))
	}
	end := s.min - 1
	slices.SortStableFunc(s.words, func(a, b word) int { return int(a.text[end]) - int(b.text[end]) })
	far := min(s.min, 255)
	for i := range s.shift {
		s.shift[i] = uint8(far)
	}
	next := 0
	for i := range s.words {
		text := s.words[i].text
		for j := range far {
			c := text[end-j]
			s.shift[c] = min(s.shift[c], uint8(j))
		}
		for ; next <= int(text[end]); next++ {
			s.index[next] = uint16(i)
		}
	}
	for ; next < len(s.index); next++ {
		s.index[next] = uint16(len(s.words))
	}
	for c := byte('a'); c <= 'z'; c++ {
		s.shift[c-'a'+'A'] = s.shift[c]
	}
}

// find looks for the words that are not used up. It gives where one begins and which it is; -1: the text ends there with
// what may become one. at is len(text) when there is neither.
func (s *searcher) find(text []byte, used []bool) (at, which int) {
	for end := s.min - 1; end < len(text); {
		c := text[end]
		if n := s.shift[c]; n > 0 {
			end += int(n)
			continue
		}
		at := end - s.min + 1
		c = ascii.Lower(c)
		for i := s.index[c]; i < s.index[int(c)+1]; i++ {
			w := &s.words[i]
			if len(used) > 0 && used[w.place] {
				continue
			}
			n := min(len(w.text), len(text)-at)
			if !foldedEqual(text[at:at+n], w.text) {
				continue
			}
			if n < len(w.text) {
				return at, -1
			}
			return at, int(i)
		}
		end++
	}
	for at := max(0, len(text)-s.min+1); at < len(text); at++ {
		for i := range s.words {
			if w := &s.words[i]; (len(used) == 0 || !used[w.place]) && foldedEqual(text[at:], w.text) {
				return at, -1
			}
		}
	}
	return len(text), -1
}

// foldedEqual compares a with the beginning of lower, which is in lower case and not shorter.
func foldedEqual(a, lower []byte) bool {
	for i, c := range a {
		if ascii.Lower(c) != lower[i] {
			return false
		}
	}
	return true
}

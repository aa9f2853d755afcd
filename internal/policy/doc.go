// Package policy holds the project's rules about its own tree, as tests: which package may import which (layers.txt), which
// modules from outside may be used (modules.txt), and what a file must or must not contain. A rule here is one that a
// reviewer would otherwise have to remember.
//
// A failing rule is mended in the tree. When the rule itself is wrong, change it in a commit of its own that says why; do
// not widen it to get a change through.
package policy

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// tiers in order of importance.
var tiers = []string{"core", "common", "rare"}

type report struct {
	title   string
	total   map[string]int
	present map[string]int
	missing map[string]map[string][]string // tier, group, names
}

func newReport(title string) *report {
	return &report{title, map[string]int{}, map[string]int{}, map[string]map[string][]string{}}
}

func (r *report) add(it item, present bool) {
	r.total[it.tier]++
	if present {
		r.present[it.tier]++
		return
	}
	if r.missing[it.tier] == nil {
		r.missing[it.tier] = map[string][]string{}
	}
	r.missing[it.tier][it.group] = append(r.missing[it.tier][it.group], it.name)
}

// print writes the counts, and the missing names down to the tier that list names.
func (r *report) print(w io.Writer, list string) {
	var total, present int
	for _, n := range r.total {
		total += n
	}
	for _, n := range r.present {
		present += n
	}
	fmt.Fprintf(w, "%s: %d of %d\n", r.title, present, total)
	for _, tier := range tiers {
		if r.total[tier] > 0 {
			fmt.Fprintf(w, "  %-8s %4d of %4d\n", tier, r.present[tier], r.total[tier])
		}
	}
	for i, tier := range tiers {
		if list == "none" || list != "all" && i > slices.Index(tiers, list) || r.missing[tier] == nil {
			continue
		}
		fmt.Fprintf(w, "  missing, %s:\n", tier)
		groups := make([]string, 0, len(r.missing[tier]))
		for g := range r.missing[tier] {
			groups = append(groups, g)
		}
		slices.Sort(groups)
		for _, g := range groups {
			fmt.Fprintf(w, "    %s: %s\n", g, strings.Join(r.missing[tier][g], " "))
		}
	}
}

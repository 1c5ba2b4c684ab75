package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"strings"

	"github.com/oreo-go/oreo/cmd/internal/report"
	"github.com/oreo-go/oreo/runtime/search"
)

//go:embed searchtree.gohtml
var treeSource string

var treeTemplate = template.Must(template.New("tree").Parse(treeSource))

// searchTree is a question's answer and the nodes it was found among.
type searchTree struct {
	Answer foundAnswer
	Nodes  []search.Node
}

// shownNode is a node as the page shows it.
type shownNode struct {
	search.Node
	Percent  int  // of the way from the tree's lowest value to its highest
	Best     bool // on the way to the answer
	Children []*shownNode
}

// writeTrees writes a page that shows every question's tree, the values as bars,
// what was dropped pale and the way to the answer bold.
func writeTrees(path string, trees []searchTree) error {
	type shown struct {
		Name, Question, Summary string
		Votes                   []search.Vote
		Roots                   []*shownNode
	}
	page := make([]shown, len(trees))
	for i, t := range trees {
		a := t.Answer
		page[i] = shown{Name: a.ID, Question: a.Question, Votes: a.Votes, Roots: t.roots()}
		page[i].Summary = fmt.Sprintf("Value %.4f, %d steps, %d nodes, %d tokens drawn; ended: %s", a.Value, a.Steps, len(t.Nodes), a.Tokens, a.Reason)
		if a.Correct != nil {
			page[i].Summary += map[bool]string{true: "; right", false: "; wrong"}[*a.Correct]
		}
	}
	var html strings.Builder
	if err := treeTemplate.Execute(&html, page); err != nil {
		return err
	}
	return report.New("Search trees").HTML(html.String()).WriteFile(path)
}

// roots links the nodes to a tree; parents stand before their children.
func (t searchTree) roots() (roots []*shownNode) {
	if len(t.Nodes) == 0 {
		return nil
	}
	lo, hi := t.Nodes[0].Value, t.Nodes[0].Value
	for _, n := range t.Nodes {
		lo, hi = min(lo, n.Value), max(hi, n.Value)
	}
	byID := map[int]*shownNode{}
	for _, n := range t.Nodes {
		s := &shownNode{Node: n, Percent: 100}
		if hi > lo {
			s.Percent = int(100 * (n.Value - lo) / (hi - lo))
		}
		s.Text = strings.TrimRight(n.Text, "\n")
		byID[n.ID] = s
		if parent := byID[n.Parent]; parent != nil {
			parent.Children = append(parent.Children, s)
		} else {
			roots = append(roots, s)
		}
	}
	for s := byID[t.Answer.node]; s != nil; s = byID[s.Parent] {
		s.Best = true
	}
	return roots
}

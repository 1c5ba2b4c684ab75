// Package report writes the results of a command: a self-contained HTML page with
// tables and plots, the same tables on the console, and JSON for programs.
package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"

	"github.com/google/renameio/v2"
)

//go:embed page.gohtml
var pageSource string

var (
	pageTemplate  = template.Must(template.New("page").Parse(pageSource))
	tableTemplate = template.Must(template.New("table").Parse(`<div class="wide"><table>
<thead><tr>{{range .Header}}<th>{{.}}</th>{{end}}</tr></thead>
<tbody>{{range .Rows}}
<tr>{{range .}}<td{{if .Number}} class="number"{{end}}>{{.Text}}</td>{{end}}</tr>{{end}}
</tbody></table></div>
`))
)

// Page collects blocks from top to bottom. Its methods return the page, so that
// calls chain; the first error is kept and returned by WriteFile.
type Page struct {
	title string
	body  bytes.Buffer
	err   error
}

// New starts a page. The title is plain text and also the first heading.
func New(title string) *Page { return &Page{title: title} }

// Heading starts a section. s is plain text.
func (p *Page) Heading(s string) *Page { return p.element("h2", s) }

// Text adds a paragraph of plain text.
func (p *Page) Text(s string) *Page { return p.element("p", s) }

// Table adds a table of plain text; cells that hold a number are set right-aligned.
// Every row must have as many cells as the header.
func (p *Page) Table(header []string, rows [][]string) *Page {
	if err := checkTable(header, rows); err != nil {
		return p.fail(err)
	}
	type cell struct {
		Text   string
		Number bool
	}
	cells := make([][]cell, len(rows))
	for i, row := range rows {
		for _, text := range row {
			cells[i] = append(cells[i], cell{text, isNumber(text)})
		}
	}
	return p.fail(tableTemplate.Execute(&p.body, map[string]any{"Header": header, "Rows": cells}))
}

// Plot adds a line plot as inline SVG.
func (p *Page) Plot(plot Plot) *Page {
	svg, err := plot.svg()
	if err != nil {
		return p.fail(fmt.Errorf("plot %q: %w", plot.Title, err))
	}
	return p.HTML(`<figure class="wide" role="img" aria-label="` + template.HTMLEscapeString(plot.Title) + `">` + svg + "</figure>")
}

// HTML adds a fragment as it is. The caller answers for its safety: text that
// comes from data must be escaped first.
func (p *Page) HTML(fragment string) *Page {
	p.body.WriteString(fragment)
	p.body.WriteByte('\n')
	return p
}

// WriteFile writes the page, whole or not at all, and returns the first error
// that any call on the page met.
func (p *Page) WriteFile(path string) error {
	if p.err != nil {
		return fmt.Errorf("report %s: %w", path, p.err)
	}
	var out bytes.Buffer
	err := pageTemplate.Execute(&out, map[string]any{"Title": p.title, "Body": template.HTML(p.body.String())})
	if err != nil {
		return fmt.Errorf("report %s: %w", path, err)
	}
	if err := renameio.WriteFile(path, out.Bytes(), 0o644); err != nil {
		return fmt.Errorf("report %s: %w", path, err)
	}
	return nil
}

func (p *Page) element(tag, text string) *Page {
	return p.HTML("<" + tag + ">" + template.HTMLEscapeString(text) + "</" + tag + ">")
}

func (p *Page) fail(err error) *Page {
	if p.err == nil {
		p.err = err
	}
	return p
}

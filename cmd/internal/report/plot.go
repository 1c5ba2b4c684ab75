package report

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Plot is a line plot.
type Plot struct {
	Title, XLabel, YLabel string
	Series                []Series
}

// Series is one line. X and Y have equal lengths and finite values. Lo and Hi,
// both or neither, bound each Y: error bars for a few points, a band for many.
type Series struct {
	Name         string
	X, Y, Lo, Hi []float64
}

const (
	plotWidth   = 20 * vg.Centimeter
	plotHeight  = 9 * vg.Centimeter
	legendWidth = 5 * vg.Centimeter // right of the plot, so that it hides nothing
	fewPoints   = 20                // up to here points are marked and intervals drawn as bars
)

// ink stands for the page's text colour: it is drawn in a colour nothing else
// uses, then renamed, because SVG inherits the colour but gonum cannot say so.
var ink = color.NRGBA{R: 1, G: 2, B: 3, A: 255}

const inkHex = "#010203"

// Middle tones, so that they stand out on white and on black.
var palette = []color.NRGBA{
	{R: 0x2f, G: 0x80, B: 0xc8, A: 255},
	{R: 0xd9, G: 0x77, B: 0x06, A: 255},
	{R: 0x25, G: 0x9a, B: 0x6c, A: 255},
	{R: 0xc4, G: 0x4f, B: 0x80, A: 255},
	{R: 0x8a, G: 0x6d, B: 0xc9, A: 255},
	{R: 0x7d, G: 0x86, B: 0x92, A: 255},
}

// svg draws the plot as an <svg> element without the XML header.
func (p Plot) svg() (string, error) {
	drawing := p.frame()
	for i, s := range p.Series {
		if err := s.check(); err != nil {
			return "", fmt.Errorf("series %q: %w", s.Name, err)
		}
		if err := s.add(drawing, palette[i%len(palette)]); err != nil {
			return "", fmt.Errorf("series %q: %w", s.Name, err)
		}
	}
	canvas := vgsvg.New(plotWidth, plotHeight)
	area := draw.New(canvas)
	legend := drawing.Legend
	drawing.Legend = plot.NewLegend()
	drawing.Draw(draw.Crop(area, 0, -legendWidth, 0, 0))
	legend.Draw(draw.Crop(area, plotWidth-legendWidth+vg.Points(10), 0, 0, 0))
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return "", err
	}
	text := out.String()
	start := strings.Index(text, "<svg")
	if start < 0 {
		return "", fmt.Errorf("gonum/plot drew no svg element")
	}
	return strings.NewReplacer(inkHex, "currentColor", "Liberation Sans", "Liberation Sans,Arial,sans-serif").Replace(text[start:]), nil
}

// frame returns an empty plot in the page's ink on a transparent ground.
func (p Plot) frame() *plot.Plot {
	d := plot.New()
	d.BackgroundColor = nil
	d.Title.Text, d.X.Label.Text, d.Y.Label.Text = p.Title, p.XLabel, p.YLabel
	d.Title.Padding = vg.Points(8)
	d.Legend.Top, d.Legend.Left = true, true
	d.Legend.YOffs = vg.Points(-24)
	d.Legend.Padding = vg.Points(4)
	for _, text := range []*draw.TextStyle{&d.Title.TextStyle, &d.Legend.TextStyle} {
		setText(text)
	}
	for _, axis := range []*plot.Axis{&d.X, &d.Y} {
		axis.Color, axis.Tick.Color = ink, ink
		setText(&axis.Label.TextStyle)
		setText(&axis.Tick.Label)
	}
	grid := plotter.NewGrid()
	faint := color.NRGBA{R: 0x80, G: 0x80, B: 0x80, A: 60}
	grid.Vertical.Color, grid.Horizontal.Color = faint, faint
	d.Add(grid)
	return d
}

func setText(style *draw.TextStyle) {
	style.Color = ink
	style.Font = font.Font{Typeface: "Liberation", Variant: "Sans", Size: 11}
}

func (s Series) check() error {
	if len(s.X) == 0 {
		return fmt.Errorf("no points")
	}
	if len(s.X) != len(s.Y) {
		return fmt.Errorf("%d x values, %d y values", len(s.X), len(s.Y))
	}
	if len(s.Lo) != len(s.Hi) || len(s.Lo) != 0 && len(s.Lo) != len(s.Y) {
		return fmt.Errorf("%d y values, %d lower and %d upper bounds", len(s.Y), len(s.Lo), len(s.Hi))
	}
	for name, values := range map[string][]float64{"x": s.X, "y": s.Y, "lower bound": s.Lo, "upper bound": s.Hi} {
		for i, v := range values {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("%s %d is %v", name, i, v)
			}
		}
	}
	return nil
}

// add draws the interval, then the line over it.
func (s Series) add(d *plot.Plot, c color.NRGBA) error {
	if len(s.Lo) > 0 {
		interval, err := s.interval(c)
		if err != nil {
			return err
		}
		d.Add(interval)
	}
	line, points, err := plotter.NewLinePoints(points(s.X, s.Y))
	if err != nil {
		return err
	}
	line.Color, line.Width = c, vg.Points(1.6)
	points.Color, points.Shape, points.Radius = c, draw.CircleGlyph{}, vg.Points(2.5)
	d.Add(line)
	if len(s.X) <= fewPoints {
		d.Add(points)
	}
	if s.Name != "" {
		d.Legend.Add(s.Name, line)
	}
	return nil
}

func (s Series) interval(c color.NRGBA) (plot.Plotter, error) {
	if len(s.X) > fewPoints {
		outline := points(s.X, s.Lo)
		for i := len(s.X) - 1; i >= 0; i-- {
			outline = append(outline, plotter.XY{X: s.X[i], Y: s.Hi[i]})
		}
		band, err := plotter.NewPolygon(outline)
		if err != nil {
			return nil, err
		}
		c.A = 50
		band.Color, band.LineStyle.Width = c, 0
		return band, nil
	}
	errs := make(plotter.YErrors, len(s.Y))
	for i, y := range s.Y {
		errs[i].Low, errs[i].High = y-s.Lo[i], s.Hi[i]-y
	}
	bars, err := plotter.NewYErrorBars(struct {
		plotter.XYer
		plotter.YErrorer
	}{points(s.X, s.Y), errs})
	if err != nil {
		return nil, err
	}
	bars.LineStyle.Color, bars.LineStyle.Width = c, vg.Points(1)
	return bars, nil
}

func points(x, y []float64) plotter.XYs {
	xys := make(plotter.XYs, len(x))
	for i := range x {
		xys[i] = plotter.XY{X: x[i], Y: y[i]}
	}
	return xys
}

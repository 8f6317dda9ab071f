package pdq

// side is that of the small picture, of which the frequencies are taken.
const side = 64

// shrink blurs a picture and takes the pixels of a grid from it. The blur is
// Jarosz's: a box filter along the rows and one along the columns, twice over
// (Wojciech Jarosz, "Fast Image Convolutions", SIGGRAPH 2001). The picture
// flows through the four filters line by line, so that no more than a window
// of it is held.
func shrink(line func(y int, row []float32), width, height int) *[side][side]float32 {
	out := new([side][side]float32)
	if width == side && height == side {
		for y := range out {
			line(y, out[y][:])
		}
		return out
	}
	window := boxWindow(width)
	taken := 0 // lines of the grid
	grid := newColumns(side, height, func(y int, row []float32) {
		for ; taken < side && gridAt(taken, height) == y; taken++ {
			copy(out[taken][:], row)
		}
	})
	blurred := make([]float32, width)
	picked := make([]float32, side)
	columns := newColumns(width, height, func(_ int, row []float32) {
		boxRow(row, blurred, window)
		for i := range picked { // the last filter works on columns alone, so the others are not needed
			picked[i] = blurred[gridAt(i, width)]
		}
		grid.push(picked)
	})
	row := make([]float32, width)
	for y := range height {
		line(y, row)
		boxRow(row, blurred, window)
		columns.push(blurred)
	}
	columns.flush()
	grid.flush()
	return out
}

// gridAt is the place of line i of the grid among n lines.
func gridAt(i, n int) int { return int((float64(i) + 0.5) * float64(n) / side) }

// boxWindow is the width of the boxes for n lines: half of what a line of the
// small picture stands for, since there are two passes.
func boxWindow(n int) int { return (n + 2*side - 1) / (2 * side) }

// boxRow writes to out the means of in over a window around each place; at the
// edges, of the part of the window that there is. The sums are carried along
// as the reference does, rounding included.
func boxRow(in, out []float32, window int) {
	half := (window + 2) / 2
	sum, n := float32(0), float32(0)
	for _, v := range in[:half-1] {
		sum += v
		n++
	}
	o := 0
	for _, v := range in[half-1 : window] {
		sum += v
		n++
		out[o] = sum / n
		o++
	}
	leaving := in[:len(in)-window]
	full := out[o:][:len(leaving)]
	for i, v := range in[window:] {
		sum += v
		sum -= leaving[i]
		full[i] = sum / n
	}
	o += len(full)
	for _, v := range in[len(leaving):][:half-1] {
		sum -= v
		n--
		out[o] = sum / n
		o++
	}
}

// columns is the box filter along columns, of rows that come one after the
// other: what [boxRow] does, for each column.
type columns struct {
	emit         func(y int, row []float32) // row is valid during the call
	window, half int
	recent       [][]float32 // the last rows of a window, by their number modulo its size
	sum, out     []float32
	in, emitted  int
}

func newColumns(width, height int, emit func(y int, row []float32)) *columns {
	c := &columns{emit: emit, window: boxWindow(height), sum: make([]float32, width), out: make([]float32, width)}
	c.half = (c.window + 2) / 2
	c.recent = make([][]float32, c.window)
	for i := range c.recent {
		c.recent[i] = make([]float32, width)
	}
	return c
}

// push adds a row, which the caller may change afterwards.
func (c *columns) push(row []float32) {
	// The zeros of a row that was not yet there change no sum.
	old := c.recent[c.in%c.window]
	sum := c.sum[:len(row)]
	old = old[:len(row)]
	for x, v := range row {
		s := sum[x] + v
		sum[x] = s - old[x]
		old[x] = v
	}
	c.in++
	if c.in >= c.half {
		c.send(min(c.in, c.window))
	}
}

// flush ends the picture.
func (c *columns) flush() {
	for i := range c.half - 1 {
		old := c.recent[(c.in+i)%c.window]
		for x, v := range old {
			c.sum[x] -= v
		}
		c.send(c.window - 1 - i)
	}
}

// send emits the means of the n rows that are in the sums.
func (c *columns) send(n int) {
	by := float32(n)
	out := c.out[:len(c.sum)]
	for x, s := range c.sum {
		out[x] = s / by
	}
	c.emit(c.emitted, c.out)
	c.emitted++
}

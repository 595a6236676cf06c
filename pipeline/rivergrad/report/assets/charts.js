/* The charts, by Bokeh: it brings axes of dates, zoom, pan and hover. No callback is text, so that nothing is compiled. */
RG.charts = [];
Bokeh.require("core/logging").logger.set_level("off"); /* quietly: set_log_level would say so */

RG.paintChart = (figure) => {
  const theme = RG.theme();
  figure.setv({ background_fill_alpha: 0, border_fill_alpha: 0, outline_line_color: null });
  for (const axis of figure.axes) {
    axis.setv({
      axis_line_color: theme.muted, major_tick_line_color: theme.muted, minor_tick_line_color: null,
      major_label_text_color: theme.muted, axis_label_text_color: theme.ink, axis_label_text_font_style: "normal",
      major_label_text_font_size: "12px", axis_label_text_font_size: "13px",
    });
  }
  for (const grid of figure.grids) grid.setv({ grid_line_color: theme.grid });
  if (figure.title) figure.title.setv({ text_color: theme.ink, text_font_size: "14px" });
};

RG.keepChart = (figure, repaint = () => {}) => {
  const again = () => { RG.paintChart(figure); repaint(); };
  RG.charts.push(again);
  again();
};
RG.onTheme(() => RG.charts.forEach((again) => again()));

RG.figure = (options) => {
  const coarse = matchMedia("(pointer: coarse)").matches;
  const figure = Bokeh.Plotting.figure({
    sizing_mode: "stretch_width", height: 320, toolbar_location: "above", output_backend: "canvas",
    tools: "pan,wheel_zoom,box_zoom,reset,save", active_drag: coarse ? null : "auto", active_scroll: null, ...options,
  });
  figure.toolbar.logo = null;
  return figure;
};

/* Round numbers on a logarithmic axis: Bokeh's own leave an axis of less than two decades almost bare. */
RG.logTicks = (low, high) => {
  const first = Math.floor(Math.log10(low)), decades = Math.log10(high / low);
  const found = [];
  for (let power = first; 10 ** power <= high; power++) {
    for (const one of decades > 3 ? [1] : [1, 2, 5]) {
      const tick = Number(`${one}e${power}`);
      if (tick >= low && tick <= high) found.push(tick);
    }
  }
  return found;
};
RG.logAxis = (axis, low, high) => {
  const ticks = RG.logTicks(low, high);
  if (ticks.length < 2) return;
  axis.ticker = new Bokeh.FixedTicker({ ticks });
  axis.formatter = new Bokeh.BasicTickFormatter({ use_scientific: high / low > 1e4 });
};

RG.showChart = async (figure, element) => {
  if (element.clientWidth < 500) for (const axis of figure.xaxes) if (!axis.ticker.ticks) axis.ticker.desired_num_ticks = 3;
  element.replaceChildren();
  const view = await Bokeh.Plotting.show(figure, element);
  RG.views.push({ view, element });
  return view;
};
/* On paper a picture of each chart, as wide as the paper: nothing is laid out anew there. */
RG.views = [];
addEventListener("beforeprint", () => {
  RG.charts.forEach((again) => again());
  for (const one of document.querySelectorAll("details:not([open])")) { one.open = true; one.dataset.closed = "yes"; }
  for (const { view, element } of RG.views) {
    view.paint();
    const { canvas } = view.export("png");
    canvas.className = "printed";
    element.parentElement.querySelectorAll(`canvas.printed[data-of="${element.id}"]`).forEach((one) => one.remove());
    canvas.dataset.of = element.id;
    element.after(canvas);
  }
});
addEventListener("afterprint", () => {
  document.querySelectorAll("canvas.printed").forEach((one) => one.remove());
  for (const one of document.querySelectorAll("details[data-closed]")) { one.open = false; delete one.dataset.closed; }
});

/* Buttons that show and hide the lines of a chart. */
RG.keys = (element, entries) => {
  element.replaceChildren(...entries.map(({ name, colour, dash, on, toggle, band }) => {
    const box = RG.make("input", { type: "checkbox" });
    box.checked = on;
    box.addEventListener("change", () => toggle(box.checked));
    const line = RG.make("span", { class: band ? "band" : "line" });
    const paint = () => {
      if (band) line.style.background = colour();
      else line.style.borderTop = `3px ${dash} ${colour()}`;
    };
    paint();
    RG.charts.push(paint);
    return RG.make("label", { class: "key" }, box, line, name);
  }));
};

RG.Hydrograph = class {
  constructor(element, keys, methods, axis) {
    this.element = element;
    this.methods = methods;
    this.time = RG.times(axis);
    this.source = new Bokeh.ColumnDataSource({ data: { t: [] } });
    const figure = this.figure = RG.figure({
      x_axis_type: "datetime", height: 340, x_range: new Bokeh.Range1d({ start: this.time[0], end: this.time[this.time.length - 1] }),
      y_range: new Bokeh.Range1d({ start: 0, end: 1 }), y_axis_label: "m³/s", tools: "xpan,xwheel_zoom,xbox_zoom,reset,save",
    });
    const { source } = this, theme = () => RG.theme(), field = (name) => ({ field: name });
    const place = { source, x: field("t") };
    this.lines = { band: figure.varea({ ...place, y1: field("low"), y2: field("high") }) };
    const order = [...methods.filter((one) => one !== "estimate").reverse(), "estimate"];
    for (const name of order) this.lines[name] = figure.line({ ...place, y: field(name) });
    this.lines.observed = figure.line({ ...place, y: field("observed") });
    this.lines.dots = figure.scatter({ ...place, y: field("observed"), size: 4 });
    for (const name of methods) this.lines[name].visible = name === "estimate" || name === "uniform";
    figure.add_tools(new Bokeh.HoverTool({
      mode: "vline", renderers: [this.lines.estimate], line_policy: "nearest",
      tooltips: [["", "@t{%F %H:%M}"], ["observed", "@observed{0.00a}"],
                 ...methods.slice().reverse().map((name) => [RG.names[name], `@${name}{0.00a}`])],
      formatters: { "@t": "datetime" },
    }));
    const fit = () => { clearTimeout(this.fitting); this.fitting = setTimeout(() => this.fit(), 30); };
    for (const end of ["start", "end"]) figure.x_range.properties[end].change.connect(fit);
    for (const axis of figure.xaxes) axis.formatter = new Bokeh.DatetimeTickFormatter({
      hours: "%H:%M", days: "%e %b", months: "%b %Y", years: "%Y", hourmin: "%H:%M",
    });
    RG.keepChart(figure, () => {
      const colours = theme().series;
      this.lines.band.glyph.setv({ fill_color: colours.estimate, fill_alpha: 0.18 });
      for (const name of [...methods, "observed"]) {
        this.lines[name].glyph.setv({
          line_color: colours[name] || theme().muted, line_width: name === "estimate" ? 2.2 : name === "observed" ? 1.3 : 1.3,
          line_dash: RG.dash[name] || "solid",
        });
      }
      this.lines.dots.glyph.setv({ fill_color: colours.observed, line_color: null });
    });
    const dashes = { solid: "solid", dashed: "dashed", dotted: "dotted", dotdash: "dashed", dashdot: "dashed" };
    RG.keys(keys, [
      ["observed", "observed"], ["estimate", "estimate"], ["band", "90 % band"],
      ...methods.filter((one) => one !== "estimate").reverse().map((one) => [one, RG.names[one]]),
    ].map(([name, text]) => ({
      name: text, on: this.lines[name].visible, band: name === "band", dash: dashes[RG.dash[name] || "solid"],
      colour: () => theme().series[name === "band" ? "estimate" : name] || theme().muted,
      toggle: (on) => {
        this.lines[name].visible = on;
        if (name === "observed") this.lines.dots.visible = on && this.few;
        this.fit();
      },
    })));
  }
  async show(record, text) {
    const series = await RG.series(text, ["observed", ...this.methods], this.time.length, record.series.top);
    const data = { t: this.time, ...series }, { band } = record.series, estimate = series.estimate;
    data.low = new Float64Array(estimate.length).fill(NaN);
    data.high = data.low.slice();
    if (band) estimate.forEach((value, i) => {
      data.low[i] = Math.max(0, (value + band[2]) * band[0] - band[2]);
      data.high[i] = (value + band[2]) * band[1] - band[2];
    });
    this.few = series.observed.reduce((n, one) => n + (one === one), 0) <= 800;
    this.lines.dots.visible = this.few && this.lines.observed.visible;
    this.source.data = data;
    if (!this.shown) this.shown = RG.showChart(this.figure, this.element);
    await this.shown;
    this.latestYear(series.observed);
    this.fit();
  }
  /* From 0 to the largest value that is seen. */
  fit() {
    const { data } = this.source, { start, end } = this.figure.x_range, { band } = this.lines;
    const seen = ["observed", ...this.methods].filter((name) => this.lines[name].visible && data[name]);
    let top = 0;
    this.time.forEach((t, i) => {
      if (t < start || t > end) return;
      for (const name of seen) if (data[name][i] > top) top = data[name][i];
      if (band.visible && data.high && data.high[i] > top && data.high[i] < 3 * data.estimate[i] + 1e-9) top = data.high[i];
    });
    this.figure.y_range.setv({ start: 0, end: 1.06 * top || 1 });
  }
  /* The last year with observations, so that floods are seen as floods; reset shows the record. */
  latestYear(observed) {
    const { time } = this, year = 365 * 864e5;
    let last = observed.length - 1;
    while (last > 0 && Number.isNaN(observed[last])) last--;
    if (last <= 0) last = time.length - 1;
    const end = time[last], range = this.figure.x_range;
    range.setv({ reset_start: time[0], reset_end: time[time.length - 1] });
    if (time[time.length - 1] - time[0] > 1.2 * year) range.setv({ start: Math.max(time[0], end - year), end });
    else range.setv({ start: time[0], end: time[time.length - 1] });
  }
};

RG.cdf = (element, keys, records, methods) => {
  const worst = methods.map((_, k) => {
    const values = records.map((one) => one.scores[one.split][0][k]).filter((one) => one !== null).sort((a, b) => a - b);
    return values[Math.floor(0.03 * values.length)] ?? 0;
  });
  const figure = RG.figure({ x_range: [Math.max(-0.5, Math.min(...worst) - 0.03), 1.01], y_range: [0, 1], x_axis_label: "NSE", y_axis_label: "share of gauges at or below" });
  const lines = {};
  for (const name of methods) {
    const k = methods.indexOf(name);
    const values = records.map((one) => one.scores[one.split][0][k]).filter((one) => one !== null).sort((a, b) => a - b);
    const x = [], y = [];
    values.forEach((value, i) => { x.push(value, value); y.push(i / values.length, (i + 1) / values.length); });
    lines[name] = figure.line({ field: "x" }, { field: "y" }, { source: new Bokeh.ColumnDataSource({ data: { x, y } }) });
  }
  RG.keepChart(figure, () => methods.forEach((name) => lines[name].glyph.setv({
    line_color: RG.theme().series[name] || RG.theme().muted, line_width: name === "estimate" ? 3 : 1.8,
    line_dash: RG.dash[name] || "solid",
  })));
  const dashes = { dashed: "dashed", dotted: "dotted", dotdash: "dashed", dashdot: "dashed" };
  RG.keys(keys, methods.slice().reverse().map((name) => ({
    name: RG.names[name], on: true, dash: dashes[RG.dash[name]] || "solid",
    colour: () => RG.theme().series[name] || RG.theme().muted, toggle: (on) => { lines[name].visible = on; },
  })));
  return RG.showChart(figure, element);
};

RG.paired = (element, records, methods, choose) => {
  const k = methods.indexOf("uniform"), last = methods.indexOf("estimate");
  const rows = records.map((one, i) => [i, one.scores[one.split][0][k], one.scores[one.split][0][last], one.held])
    .filter(([, a, b]) => a !== null && b !== null);
  const clip = (value) => Math.max(-1, value);
  const source = new Bokeh.ColumnDataSource({ data: {
    x: rows.map((one) => clip(one[1])), y: rows.map((one) => clip(one[2])), at: rows.map((one) => one[0]),
    name: rows.map((one) => records[one[0]].name), marker: rows.map((one) => one[3] ? "diamond" : "circle"),
    gain: rows.map((one) => RG.signed(one[2] - one[1])),
  } });
  const range = (k) => {
    const values = rows.map((one) => clip(one[k])).sort((a, b) => a - b), low = values[0] ?? 0, high = values[values.length - 1] ?? 1;
    const pad = 0.05 * Math.max(high - low, 0.05);
    return [low - pad, high + pad];
  };
  const figure = RG.figure({
    x_range: range(1), y_range: range(2), x_axis_label: "NSE of the best uniform celerity", y_axis_label: "NSE of the estimate",
    tools: "pan,wheel_zoom,box_zoom,tap,reset,save",
  });
  const line = figure.line([-1, 1], [-1, 1], { line_dash: "dashed" });
  const dots = figure.scatter({ field: "x" }, { field: "y" }, { source, marker: { field: "marker" }, size: rows.length > 500 ? 6 : 9 });
  figure.add_tools(new Bokeh.HoverTool({ renderers: [dots], tooltips: [["gauge", "@name"], ["estimate", "@y{0.000}"], ["best uniform", "@x{0.000}"], ["gain", "@gain"]] }));
  RG.keepChart(figure, () => {
    const theme = RG.theme();
    line.glyph.line_color = theme.muted;
    for (const glyph of [dots.glyph, dots.nonselection_glyph, dots.selection_glyph]) {
      if (glyph && glyph.setv) glyph.setv({ fill_color: theme.series.estimate, fill_alpha: 0.55, line_color: theme.series.estimate });
    }
  });
  source.selected.properties.indices.change.connect(() => {
    const [row] = source.selected.indices;
    if (row !== undefined) choose(source.data.at[row]);
  });
  return RG.showChart(figure, element);
};

/* A line over steps, such as the loss; `kept` marks the step whose values were kept. */
RG.course = (element, { x, y, title, label, log, kept }) => {
  const figure = RG.figure({ title, x_axis_label: "optimisation step", y_axis_label: label, y_axis_type: log ? "log" : "linear", height: 280 });
  const source = new Bokeh.ColumnDataSource({ data: { x, y } });
  if (log) RG.logAxis(figure.yaxes[0], Math.min(...y.filter((one) => one > 0)), Math.max(...y));
  const line = figure.line({ field: "x" }, { field: "y" }, { source, line_width: 2 });
  const dots = figure.scatter({ field: "x" }, { field: "y" }, { source, size: x.length > 60 ? 0 : 6 });
  figure.add_tools(new Bokeh.HoverTool({ renderers: [dots], mode: "vline", tooltips: [["step", "@x"], [label, "@y{0.0000}"]] }));
  const span = kept === null ? null : new Bokeh.Span({ location: kept, dimension: "height", line_dash: "dashed" });
  if (span) figure.add_layout(span);
  RG.keepChart(figure, () => {
    const theme = RG.theme();
    line.glyph.line_color = theme.series.estimate;
    dots.glyph.setv({ fill_color: theme.series.estimate, line_color: null });
    if (span) span.line_color = theme.series.uniform;
  });
  return RG.showChart(figure, element);
};

RG.truth = (element, { x, y, low, high }) => {
  const figure = RG.figure({
    title: "Estimated against true celerity", x_range: [low, high], y_range: [low, high], x_axis_type: "log", y_axis_type: "log",
    x_axis_label: "true (m/s)", y_axis_label: "estimated (m/s)", height: 280,
  });
  for (const axis of figure.axes) RG.logAxis(axis, low, high);
  const line = figure.line([low, high], [low, high], { line_dash: "dashed" });
  const dots = figure.scatter({ field: "x" }, { field: "y" }, { source: new Bokeh.ColumnDataSource({ data: { x, y } }), size: 4 });
  RG.keepChart(figure, () => {
    line.glyph.line_color = RG.theme().muted;
    dots.glyph.setv({ fill_color: RG.theme().series.estimate, fill_alpha: 0.35, line_color: null });
  });
  return RG.showChart(figure, element);
};

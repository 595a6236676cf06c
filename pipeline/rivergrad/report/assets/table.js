/* The table of gauges: sorted by its headings, filtered by text and kind. */
RG.GaugeTable = class {
  constructor(element, records, choose) {
    this.records = records;
    this.choose = choose;
    this.columns = [
      { key: "name", title: "Gauge", text: (one) => one.name },
      { key: "nse", title: "NSE", text: (one) => RG.score(one.nse), number: true },
      { key: "gain", title: "Gain", text: (one) => RG.signed(one.gain), number: true },
      { key: "kge", title: "KGE", text: (one) => RG.score(one.kge), number: true },
      { key: "bias", title: "Volume", text: (one) => RG.percent(one.bias), number: true, size: true, wide: true },
      { key: "peak", title: "Peaks (days)", text: (one) => RG.number(one.peak, 2), number: true, wide: true },
      { key: "n", title: "Observations", text: (one) => one.n.toLocaleString("en"), number: true, wide: true },
      { key: "kind", title: "Kind", text: (one) => RG.kind(one), wide: true },
    ];
    this.sorted = { key: "gain", up: false };
    this.shown = 50;
    this.chosen = -1;
    this.filter = RG.make("input", { type: "search", id: "filter", placeholder: "Gauge or reach", autocomplete: "off" });
    this.which = RG.make("select", { id: "which" }, ...[
      ["all", "all gauges"], ["held", "held out"], ["train", "training"], ["better", "better than best uniform"],
      ["worse", "behind best uniform"], ["screened", "screened"], ["moved", "moved"],
    ].map(([value, text]) => RG.make("option", { value }, text)));
    for (const one of [this.filter, this.which]) one.addEventListener("input", () => { this.shown = 50; this.draw(); });
    this.head = RG.make("tr");
    this.body = RG.make("tbody");
    this.count = RG.make("p", { class: "muted", "aria-live": "polite" });
    this.more = RG.make("button", { type: "button", on: { click: () => { this.shown += 200; this.draw(); } } }, "Show more");
    for (const column of this.columns) {
      const button = RG.make("button", { type: "button", on: { click: () => this.sort(column.key) } }, column.title);
      column.head = RG.make("th", { scope: "col", class: column.wide ? "wide" : null }, button);
      this.head.append(column.head);
    }
    element.replaceChildren(
      RG.make("div", { class: "controls" },
        RG.make("label", {}, "Filter ", this.filter), RG.make("label", {}, "Show ", this.which)),
      RG.make("div", { class: "scroll" }, RG.make("table", { class: "gauges" }, RG.make("thead", {}, this.head), this.body)),
      this.count, this.more,
    );
    this.draw();
  }
  sort(key) {
    this.sorted = { key, up: this.sorted.key === key ? !this.sorted.up : key === "name" };
    this.draw();
  }
  rows() {
    const text = this.filter.value.trim().toLowerCase(), which = this.which.value;
    const kinds = {
      all: () => true, held: (one) => one.held, train: (one) => !one.held, better: (one) => one.gain > 0,
      worse: (one) => one.gain !== null && one.gain < 0, screened: (one) => one.screened, moved: (one) => one.moved,
    };
    const { key, up } = this.sorted, column = this.columns.find((one) => one.key === key);
    const value = (one) => key === "kind" ? RG.kind(one) : column.size && one[key] !== null ? Math.abs(one[key]) : one[key];
    return this.records.map((one, i) => [one, i])
      .filter(([one]) => kinds[which](one) && (!text || one.name.toLowerCase().includes(text) || one.id.includes(text)))
      .sort(([a, i], [b, j]) => {
        const x = value(a), y = value(b);
        if (x === null || y === null) return (x === null) - (y === null) || i - j;
        const order = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y;
        return (up ? order : -order) || i - j;
      });
  }
  draw() {
    for (const column of this.columns) {
      const own = column.key === this.sorted.key;
      column.head.setAttribute("aria-sort", own ? (this.sorted.up ? "ascending" : "descending") : "none");
    }
    const rows = this.rows();
    this.body.replaceChildren(...rows.slice(0, this.shown).map(([one, i]) => {
      const row = RG.make("tr", { "aria-selected": i === this.chosen ? "true" : "false" });
      this.columns.forEach((column, k) => {
        if (k === 0) {
          row.append(RG.make("th", { scope: "row" },
            RG.make("button", { type: "button", class: "name", on: { click: () => this.choose(i) } }, one.name)));
        } else row.append(RG.make("td", { class: column.wide ? "wide" : null }, column.text(one)));
      });
      return row;
    }));
    this.count.textContent = `${rows.length.toLocaleString("en")} of ${this.records.length.toLocaleString("en")} gauges`
      + (rows.length > this.shown ? `; the first ${this.shown} are shown` : "");
    this.more.hidden = rows.length <= this.shown;
  }
};
RG.kind = (one) => [one.held ? "held out" : "training", one.screened && "screened", one.moved && "moved"].filter(Boolean).join(", ");

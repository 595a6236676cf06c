/* What ties the page together: the map's controls, the chosen gauge, travel times, the search. */
RG.days = (seconds) => {
  const days = seconds / 86400;
  return days >= 1 ? `${RG.number(days, 3)} days` : days >= 1 / 24 ? `${RG.number(days * 24, 3)} hours` : `${RG.number(days * 1440, 3)} minutes`;
};

/* The reaches from one down to another, both included; null where the second is not below the first. */
RG.wayDown = (downstream, from, to) => {
  const found = [];
  for (let at = from; at >= 0 && found.length <= downstream.length; at = downstream[at]) {
    found.push(at);
    if (at === to) return found;
  }
  return null;
};

RG.travel = (data, way) => {
  let time = 0, low = 0, high = 0, square = 0;
  for (const reach of way) {
    time += data.time[reach];
    if (!data.time_low) continue;
    low += data.time_low[reach];
    high += data.time_high[reach];
    square += (data.time[reach] * data.log_sd[reach]) ** 2;
  }
  return { time, low, high, apart: 1.645 * Math.sqrt(square), known: Boolean(data.time_low) && Number.isFinite(low + high) };
};

RG.Page = class {
  constructor(data, about) {
    this.data = data;
    this.about = about;
    this.records = data.gauges;
    this.from = -1;
    this.find = (id) => document.getElementById(id);
    const canvas = this.find("map");
    this.map = new RG.RiverMap(canvas, data, about);
    this.map.gauges.records = this.records;
    this.controls();
    this.pointer(canvas);
    this.keyboard(canvas);
    this.search();
    const ranked = this.records.map((one, i) => [one.nse, i]).filter(([nse]) => nse !== null).sort((a, b) => a[0] - b[0]);
    this.rank = new Map(ranked.map(([, i], place) => [i, ranked.length > 1 ? place / (ranked.length - 1) : 1]));
    this.setGauges();
    this.setField();
  }

  /* the map's controls */

  controls() {
    const { about } = this, fields = this.find("field"), gauges = this.find("gauges");
    fields.replaceChildren(...about.fields.map((one) => RG.make("option", { value: one.name }, one.title)));
    fields.addEventListener("input", () => this.setField());
    gauges.addEventListener("input", () => this.setGauges());
    this.find("fade").addEventListener("input", (event) => { this.map.fade = event.target.checked; this.setField(); });
    this.find("zoom-in").addEventListener("click", () => this.map.zoom(1.6));
    this.find("zoom-out").addEventListener("click", () => this.map.zoom(1 / 1.6));
    this.find("whole").addEventListener("click", () => this.map.whole());
    RG.onTheme(() => { this.setField(); this.setGauges(); });
    for (const event of ["beforeprint", "afterprint"]) addEventListener(event, () => { this.setField(); this.setGauges(); this.map.now(); });
  }
  get field() { return this.about.fields.find((one) => one.name === this.find("field").value) || this.about.fields[0]; }
  setField() {
    const { field } = this;
    this.map.setField(field);
    RG.legend(this.find("legend"), field.title, field.unit, field, RG.theme().palettes[field.colours], field.backwards);
    this.find("field-note").textContent = field.note;
  }
  setGauges() {
    const kind = this.find("gauges").value, { gauges } = this.map, { scales } = this.about.gauges;
    gauges.value = { none: null, nse: (one) => one.nse, gain: (one) => one.gain, rank: (one, i) => this.rank.get(i) ?? null }[kind];
    gauges.scale = scales[kind];
    gauges.colours = kind === "gain" ? "change" : "skill";
    const titles = { nse: "NSE at gauges", gain: "Gain in NSE over best uniform", rank: "Rank of NSE: 0 is the worst gauge, 1 the best" };
    const legend = this.find("gauge-legend");
    if (kind === "none") legend.replaceChildren();
    else RG.legend(legend, titles[kind], "", gauges.scale, RG.theme().palettes[gauges.colours]);
    this.map.drawRings();
    this.map.request();
  }

  /* pointer, touch, wheel */

  pointer(canvas) {
    const touches = new Map();
    let moved = 0, apart = 0;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      touches.set(event.pointerId, place(event));
      if (touches.size === 1) moved = 0;
      apart = 0;
    });
    canvas.addEventListener("pointermove", (event) => {
      const [x, y] = place(event), before = touches.get(event.pointerId);
      if (!before) { this.hover(x, y); return; }
      touches.set(event.pointerId, [x, y]);
      if (touches.size === 1) {
        moved += Math.abs(x - before[0]) + Math.abs(y - before[1]);
        if (moved > 5) { this.tip(null); this.map.pan(x - before[0], y - before[1]); }
      } else {
        const [[ax, ay], [bx, by]] = [...touches.values()], far = Math.hypot(ax - bx, ay - by);
        moved = 100;
        if (apart) this.map.zoom(far / apart, (ax + bx) / 2, (ay + by) / 2);
        apart = far;
      }
    });
    const end = (event) => {
      const there = touches.delete(event.pointerId);
      if (there && event.type === "pointerup" && moved <= 5) this.click(...place(event));
      apart = 0;
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("pointerleave", () => this.tip(null));
    canvas.addEventListener("dblclick", (event) => { event.preventDefault(); this.map.zoom(2, ...place(event)); });
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return;
      event.preventDefault();
      this.map.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...place(event));
    }, { passive: false });
  }
  keyboard(canvas) {
    const moves = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] };
    const centre = () => [this.map.width / 2, this.map.height / 2];
    canvas.addEventListener("keydown", (event) => {
      const { key } = event, { map } = this;
      if (moves[key]) map.pan(...moves[key]);
      else if (key === "+" || key === "=") map.zoom(1.5);
      else if (key === "-") map.zoom(1 / 1.5);
      else if (key === "0") map.whole();
      else if (key === "Enter") this.click(...centre());
      else if (key === "Escape") this.forget();
      else return;
      event.preventDefault();
      map.cross = true;
      this.hover(...centre());
      map.request();
    });
    canvas.addEventListener("blur", () => { this.map.cross = false; this.tip(null); this.map.request(); });
  }

  hover(x, y) {
    const gauge = this.map.gaugeAt(x, y);
    const reach = gauge < 0 ? this.map.reachAt(x, y) : -1;
    this.map.canvas.style.cursor = gauge >= 0 || reach >= 0 ? "pointer" : "grab";
    this.tip(gauge >= 0 ? this.aboutGauge(gauge) : reach >= 0 ? this.aboutReach(reach) : null, x, y);
  }
  tip(lines, x = 0, y = 0) {
    const tip = this.find("tip");
    tip.hidden = !lines;
    if (!lines) return;
    tip.replaceChildren(...lines.map((line, i) => RG.make(i ? "div" : "strong", {}, line)));
    const right = x > this.map.width / 2;
    tip.style.left = right ? "auto" : `${x + 14}px`;
    tip.style.right = right ? `${this.map.width - x + 14}px` : "auto";
    tip.style.top = `${Math.max(0, Math.min(y + 12, this.map.height - tip.offsetHeight - 4))}px`;
  }
  aboutGauge(i) {
    const one = this.records[i];
    return [one.name, `NSE ${RG.score(one.nse)} · gain ${RG.signed(one.gain)}`, `KGE ${RG.score(one.kge)} · volume ${RG.percent(one.bias)}`,
      `${RG.kind(one)} · reach ${one.id}`];
  }
  read(field, reach, part) {
    const q = this.data[`${field.name}.${part}`][reach];
    if (q === RG.MISSING) return NaN;
    return field.log ? field.low * Math.exp(q / 65534 * Math.log(field.high / field.low)) : field.low + q / 65534 * (field.high - field.low);
  }
  aboutReach(reach) {
    const { field, data } = this, unit = field.unit ? ` ${field.unit}` : "", found = [`Reach ${this.id(reach)}`];
    found.push(`${field.title}: ${RG.number(this.read(field, reach, "value"))}${unit}`);
    if (field.interval) found.push(`Nominal 90 % interval ${RG.number(this.read(field, reach, "lower"))} to ${RG.number(this.read(field, reach, "upper"))}${unit}`);
    const told = this.about.fields.find((one) => one.name === "identifiability");
    if (told && told !== field) found.push(`Identifiability ${RG.number(this.read(told, reach, "value"), 2)}`);
    if (!(data.told[reach] & 1)) found.push("upstream of no training gauge");
    return found;
  }
  id(reach) { return typeof this.data.ids[reach] === "string" ? this.data.ids[reach] : String(this.data.ids[reach]); }

  /* choosing */

  click(x, y) {
    const gauge = this.map.gaugeAt(x, y);
    if (gauge >= 0) { this.chooseGauge(gauge); return; }
    const reach = this.map.reachAt(x, y, 14);
    if (reach >= 0) this.chooseReach(reach);
  }
  forget() {
    this.from = -1;
    this.map.path = [];
    this.map.chosen.reaches = [];
    this.find("travel").textContent = this.find("travel").dataset.hint;
    this.map.request();
  }
  chooseReach(reach) {
    const box = this.find("travel"), { map, data } = this;
    if (this.from < 0 || map.chosen.reaches.length === 2) {
      this.from = reach;
      map.path = [];
      map.chosen.reaches = [reach];
      box.replaceChildren(RG.make("strong", {}, "A: "), this.aboutReach(reach).join(" · "),
        data.time ? RG.make("div", { class: "muted" }, "Choose a second point of the same river for the travel time between them.") : "");
    } else {
      map.chosen.reaches = [this.from, reach];
      box.replaceChildren(...this.between(this.from, reach));
    }
    map.request();
  }
  between(a, b) {
    const { data, map } = this;
    map.path = [];
    if (!data.time) return ["This network has no lengths, so that there is no travel time."];
    const way = RG.wayDown(data.downstream, a, b) || RG.wayDown(data.downstream, b, a);
    if (!way) return [RG.make("strong", {}, "No travel time: "), `water of reach ${this.id(a)} does not pass reach ${this.id(b)}, nor the other way round.`];
    map.path = way;
    const { time, low, high, apart, known } = RG.travel(data, way);
    const found = [RG.make("strong", {}, `Travel time ${RG.days(time)}`),
      ` from reach ${this.id(way[0])} to reach ${this.id(way[way.length - 1])}, both included: ${way.length.toLocaleString("en")} ${way.length === 1 ? "reach" : "reaches"}.`];
    if (known) found.push(RG.make("div", {}, `Nominal 90 % interval ${RG.days(low)} to ${RG.days(high)}, with all reaches too fast or too slow together: the widest. `
      + `With errors that are independent it is ${RG.days(Math.max(0, time - apart))} to ${RG.days(time + apart)}.`));
    else found.push(RG.make("div", { class: "muted" }, "This run has no uncertainty, so that there is no interval."));
    return found;
  }
  async chooseGauge(i, centre = false) {
    const one = this.records[i], { methods, splits } = this.about.gauges;
    this.map.chosen.gauge = i;
    if (centre && one.xy) this.map.centre(one.xy[0], one.xy[1], Math.max(this.map.view.scale, this.map.home * 4));
    this.map.request();
    if (this.table) { this.table.chosen = i; this.table.draw(); }
    this.find("gauge").hidden = false;
    this.find("gauge-name").textContent = `Gauge ${one.name}`;
    this.find("gauge-kind").textContent = `${RG.kind(one)} · reach ${one.id} · ${one.n.toLocaleString("en")} observations`;
    this.find("why").replaceChildren(...one.why.map((text) => RG.make("li", {}, text)));
    const order = [...methods].reverse();
    const head = RG.make("tr", {}, RG.make("th", { scope: "col" }, "Score"), ...order.map((name) => RG.make("th", { scope: "col" }, RG.names[name])));
    const rows = Object.entries(one.scores).flatMap(([split, values]) => ["NSE", "KGE"].map((score, k) => RG.make("tr", {},
      RG.make("th", { scope: "row" }, `${score}, ${splits[split]}`),
      ...order.map((name) => RG.make("td", {}, RG.score(values[k][methods.indexOf(name)]))))));
    this.find("gauge-scores").replaceChildren(RG.make("thead", {}, head), RG.make("tbody", {}, ...rows));
    const start = RG.make("button", { type: "button", on: { click: () => { this.forget(); if (one.reach >= 0) this.chooseReach(one.reach); } } }, "Travel time from here");
    this.find("gauge-actions").replaceChildren(...(this.data.time && one.reach >= 0 ? [start] : []));
    await this.hydrograph(one);
  }
  async hydrograph(one) {
    const place = this.find("hydrograph"), elsewhere = this.find("elsewhere"), { series } = one;
    const text = series && series.at !== undefined ? this.texts[series.at] : null;
    elsewhere.hidden = Boolean(text);
    place.hidden = this.find("hydrograph-keys").hidden = !text;
    if (!text) {
      elsewhere.replaceChildren(...(series && series.page
        ? ["The hydrograph of this gauge is in the folder that goes with the report: ", RG.make("a", { href: `${series.page}#${encodeURIComponent(one.name)}` }, series.page), "."]
        : ["This run has no hydrograph of this gauge."]));
      return;
    }
    this.chart ??= new RG.Hydrograph(place, this.find("hydrograph-keys"), this.about.gauges.methods, this.about.time);
    await this.chart.show(one, text);
    document.documentElement.dataset.hydrograph = one.name;
  }

  /* search */

  search() {
    const box = this.find("search"), list = this.find("found");
    const matches = () => {
      const text = box.value.trim().toLowerCase();
      if (!text) return [];
      const found = [];
      this.records.forEach((one, i) => { if (found.length < 8 && one.name.toLowerCase().includes(text)) found.push([`Gauge ${one.name}`, () => this.chooseGauge(i, true)]); });
      const number = typeof this.data.ids[0] === "string" ? text : Number(text);
      const reach = this.data.ids.indexOf(number);
      if (reach >= 0) found.unshift([`Reach ${this.id(reach)}`, () => { this.map.show(reach); this.forget(); this.chooseReach(reach); }]);
      return found;
    };
    const show = () => {
      const found = matches();
      const none = box.value.trim() ? [RG.make("li", { class: "muted" }, this.about.map.drawn < this.about.map.reaches
        ? "No gauge, and no reach among those that are drawn as lines." : "No such gauge or reach.")] : [];
      list.replaceChildren(...(found.length ? found.map(([text, run]) => RG.make("li", {},
        RG.make("button", { type: "button", on: { click: () => { run(); list.replaceChildren(); box.value = ""; } } }, text))) : none));
    };
    box.addEventListener("input", show);
    box.addEventListener("keydown", (event) => {
      const [first] = matches();
      if (event.key === "Enter" && first) { first[1](); list.replaceChildren(); event.preventDefault(); }
      if (event.key === "Escape") list.replaceChildren();
    });
  }
};

RG.start = async () => {
  const about = RG.json("about");
  RG.themes = about.themes;
  RG.names = about.names;
  RG.dash = about.dashes;
  const find = (id) => document.getElementById(id);
  const texts = find("series").textContent.trim().split("\n");
  if (about.kind === "hydrographs") { RG.batch(about, texts); return; }
  const [map, own] = await Promise.all(["data", "gauge-data"].map((id) => RG.unpack(find(id).textContent.trim())));
  const data = { ...map, ...own };
  const page = RG.page = new RG.Page(data, about);
  page.texts = texts;
  const { methods } = about.gauges, scored = data.gauges.filter((one) => one.nse !== null);
  page.table = new RG.GaugeTable(find("table"), data.gauges, (i) => {
    page.chooseGauge(i, true);
    find("gauge").scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  });
  /* the charts come once the map stands */
  await new Promise((done) => { const wait = () => page.map.finished ? done() : requestAnimationFrame(wait); wait(); });
  if (scored.length) {
    await RG.cdf(find("cdf"), find("cdf-keys"), scored, methods);
    await RG.paired(find("paired"), scored, methods, (i) => page.chooseGauge(data.gauges.indexOf(scored[i]), true));
  }
  for (const one of about.courses) await RG.course(find(one.id), one);
  if (about.truth) await RG.truth(find("truth"), about.truth);
  const first = about.first;
  if (first !== null) await page.chooseGauge(first);
  document.documentElement.dataset.ready = "yes";
};

/* A further page of hydrographs: a list of gauges and one chart. */
RG.batch = async (about, texts) => {
  const find = (id) => document.getElementById(id), list = find("which");
  list.replaceChildren(...about.records.map((one, i) => RG.make("option", { value: i }, one.name)));
  const chart = new RG.Hydrograph(find("hydrograph"), find("hydrograph-keys"), about.methods, about.time);
  const show = async () => {
    const one = about.records[list.value];
    find("gauge-name").textContent = `Gauge ${one.name}`;
    find("why").replaceChildren(...one.why.map((text) => RG.make("li", {}, text)));
    await chart.show(one, texts[list.value]);
    document.documentElement.dataset.hydrograph = one.name;
  };
  const follow = () => {
    const wanted = decodeURIComponent(location.hash.slice(1));
    list.value = Math.max(0, about.records.findIndex((one) => one.name === wanted));
    show();
  };
  list.addEventListener("input", show);
  addEventListener("hashchange", follow);
  follow();
};

RG.start();

/* The map: reaches are drawn in slices of a few milliseconds into a picture larger than the window, and that picture is
   moved and scaled while the reader pans and zooms. Gauges are rings, so that no reach is hidden. */
RG.COLOURS = 48;
RG.MISSING = 65535;

RG.Index = class {
  /* Which segments may be near a point: a grid, each segment in all cells that its box touches. */
  constructor(lines, points, width, height) {
    this.across = 300;
    this.down = Math.max(1, Math.round(this.across * height / width));
    this.width = width;
    this.height = height;
    const parts = points - 1, count = lines.length / (2 * points) * parts;
    this.parts = parts;
    this.points = points;
    this.lines = lines;
    const starts = new Int32Array(this.across * this.down + 1);
    this.each(count, (cell) => { starts[cell + 1]++; });
    for (let i = 0; i < starts.length - 1; i++) starts[i + 1] += starts[i];
    const next = starts.slice();
    this.segments = new Int32Array(starts[starts.length - 1]);
    this.each(count, (cell, segment) => { this.segments[next[cell]++] = segment; });
    this.starts = starts;
  }
  column(x) { return Math.min(this.across - 1, Math.max(0, Math.floor(x / this.width * this.across))); }
  row(y) { return Math.min(this.down - 1, Math.max(0, Math.floor(y / this.height * this.down))); }
  at(segment) {
    return 2 * (Math.floor(segment / this.parts) * this.points + segment % this.parts);
  }
  each(count, run) {
    for (let segment = 0; segment < count; segment++) {
      const at = this.at(segment), line = this.lines;
      const x0 = line[at], y0 = line[at + 1], x1 = line[at + 2], y1 = line[at + 3];
      if (!(x0 === x0 && y0 === y0)) continue;
      const left = this.column(Math.min(x0, x1)), right = this.column(Math.max(x0, x1));
      const top = this.row(Math.min(y0, y1)), foot = this.row(Math.max(y0, y1));
      for (let r = top; r <= foot; r++) for (let c = left; c <= right; c++) run(r * this.across + c, segment);
    }
  }
  /* The line nearest to (x, y) within a radius, or -1; wider(line) is subtracted from its distance. */
  nearest(x, y, radius, wider) {
    let best = -1, least = radius;
    for (let r = this.row(y - radius); r <= this.row(y + radius); r++) {
      for (let c = this.column(x - radius); c <= this.column(x + radius); c++) {
        const cell = r * this.across + c;
        for (let i = this.starts[cell]; i < this.starts[cell + 1]; i++) {
          const segment = this.segments[i], at = this.at(segment), line = this.lines;
          const dx = line[at + 2] - line[at], dy = line[at + 3] - line[at + 1];
          const length = dx * dx + dy * dy;
          let t = length > 0 ? ((x - line[at]) * dx + (y - line[at + 1]) * dy) / length : 0;
          t = t < 0 ? 0 : t > 1 ? 1 : t;
          const of = Math.floor(segment / this.parts);
          const far = Math.hypot(x - line[at] - t * dx, y - line[at + 1] - t * dy) - wider(of);
          if (far < least) { least = far; best = of; }
        }
      }
    }
    return best;
  }
};

RG.RiverMap = class {
  constructor(canvas, data, about) {
    this.canvas = canvas;
    this.data = data;
    this.about = about;
    this.context = canvas.getContext("2d");
    this.front = document.createElement("canvas");
    this.back = document.createElement("canvas");
    this.rings = document.createElement("canvas");
    this.frontView = null;
    this.job = null;
    this.field = null;
    this.gauges = { records: [], value: null, scale: null, colours: "skill" };
    this.path = [];
    this.chosen = { gauge: -1, reaches: [] };
    this.cross = false;
    this.fade = true;
    this.finished = 0;
    this.view = { scale: 1, x: 0, y: 0 };
    const lines = about.map;
    this.index = new RG.Index(data.lines, lines.points, lines.width, lines.height);
    this.lineOf = new Int32Array(lines.drawn).fill(-1);
    data.line_reach.forEach((reach, line) => { this.lineOf[reach] = line; });
    this.grounds = {};
    this.resize();
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
    RG.onTheme(() => { this.cellPicture = null; this.redraw(); });
  }

  /* where things are */

  resize() {
    const box = this.canvas.getBoundingClientRect();
    if (!box.width || (box.width === this.width && box.height === this.height)) return;
    const before = this.width ? { x: (this.width / 2 - this.view.x) / this.view.scale,
                                  y: (this.height / 2 - this.view.y) / this.view.scale } : null;
    this.width = box.width;
    this.height = box.height;
    this.ratio = Math.min(window.devicePixelRatio || 1, 2);
    this.canvas.width = Math.round(box.width * this.ratio);
    this.canvas.height = Math.round(box.height * this.ratio);
    this.margin = 0.2;
    for (const one of [this.front, this.back, this.rings]) {
      one.width = Math.round(this.canvas.width * (1 + 2 * this.margin));
      one.height = Math.round(this.canvas.height * (1 + 2 * this.margin));
    }
    this.frontView = null;
    const { width, height } = this.about.map;
    const old = this.home;
    this.home = Math.min(this.width / width, this.height / height) * 0.985;
    if (before && this.view.scale > 1.05 * old) this.centre(before.x, before.y, this.view.scale);
    else this.whole();
  }
  whole() {
    const { width, height } = this.about.map;
    this.centre(width / 2, height / 2, this.home);
  }
  centre(x, y, scale) {
    this.view = { scale, x: this.width / 2 - x * scale, y: this.height / 2 - y * scale };
    this.redraw();
  }
  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const scale = Math.min(Math.max(this.view.scale * factor, this.home * 0.7), this.home * 4000);
    const share = scale / this.view.scale;
    this.view = { scale, x: x - (x - this.view.x) * share, y: y - (y - this.view.y) * share };
    this.moved();
  }
  pan(dx, dy) {
    const { width, height } = this.about.map, { scale } = this.view;
    const keep = (at, size, span) => Math.min(Math.max(at, span / 2 - size * scale), span / 2);
    this.view = { scale, x: keep(this.view.x + dx, width, this.width), y: keep(this.view.y + dy, height, this.height) };
    this.moved();
  }
  spot(x, y) { return [(x - this.view.x) / this.view.scale, (y - this.view.y) / this.view.scale]; }
  middle(reach) { return [this.data.middle[2 * reach], this.data.middle[2 * reach + 1]]; }
  widths() { return Math.min(3, Math.max(1, (this.view.scale / this.home) ** 0.3)); }
  show(reach) {
    const [x, y] = this.middle(reach);
    if (Number.isFinite(x)) this.centre(x, y, Math.max(this.view.scale, this.home * 6));
  }

  /* what is under the pointer */

  gaugeAt(x, y) {
    const reach = this.radius() + 5;
    let best = -1, least = reach;
    if (this.gauges.value) this.gauges.records.forEach((one, i) => {
      if (!one.xy) return;
      const far = Math.hypot(one.xy[0] * this.view.scale + this.view.x - x, one.xy[1] * this.view.scale + this.view.y - y);
      if (far < least) { least = far; best = i; }
    });
    return best;
  }
  reachAt(x, y, pixels = 10) {
    const [u, v] = this.spot(x, y), { scale } = this.view, k = this.widths() / 40 / scale;
    const line = this.index.nearest(u, v, pixels / scale, (of) => this.data.width[this.data.line_reach[of]] * k);
    return line < 0 ? -1 : this.data.line_reach[line];
  }
  radius() {
    const shown = Math.max(1, this.gauges.records.length) * Math.min(1, (this.home / this.view.scale) ** 1.2);
    return Math.min(5, Math.max(2.2, 0.11 * Math.sqrt(this.width * this.height / Math.max(shown, 1))));
  }

  /* colours */

  setField(field) {
    this.field = field;
    this.cellPicture = null;
    const { data } = this, n = this.about.map.drawn, quantised = data[`${field.name}.value`];
    const span = field.high - field.low, ratio = field.log ? Math.log(field.high / field.low) : 0;
    this.value = (q) => q === RG.MISSING ? NaN : field.log
      ? field.low * Math.exp(q / 65534 * ratio) : field.low + q / 65534 * span;
    const colour = new Uint8Array(n), layer = new Uint8Array(n);
    for (let i = 0; i < n; i++) {
      const value = this.value(quantised[i]);
      const share = Number.isNaN(value) ? 0 : RG.scaled(value, field);
      const place = field.backwards ? 1 - share : share;
      colour[i] = Math.min(RG.COLOURS - 1, Math.floor(place * RG.COLOURS));
      const told = data.told[i];
      layer[i] = Number.isNaN(value) || (this.fade && !(told & 1)) ? 0 : this.fade && told & 2 ? 1 : 2;
    }
    this.colour = colour;
    this.sort(layer);
    this.redraw();
  }
  /* Lines in the order in which they are drawn: faded ones first, then by width, then by colour. */
  sort(layer) {
    const { data } = this, m = data.line_reach.length, keys = 3 * 16 * RG.COLOURS;
    const key = new Uint16Array(m), starts = new Int32Array(keys + 1);
    for (let line = 0; line < m; line++) {
      const reach = data.line_reach[line];
      const width = Math.min(15, data.width[reach] >> 3);
      const colour = layer[reach] === 0 ? 0 : this.colour[reach];
      key[line] = (layer[reach] * 16 + width) * RG.COLOURS + colour;
      starts[key[line] + 1]++;
    }
    for (let i = 0; i < keys; i++) starts[i + 1] += starts[i];
    const next = starts.slice(), order = new Int32Array(m);
    for (let line = 0; line < m; line++) order[next[key[line]]++] = line;
    this.order = order;
    this.key = key;
  }

  /* drawing */

  redraw() {
    this.start();
    this.request();
  }
  moved() {
    const from = this.frontView, { scale, x, y } = this.view;
    clearTimeout(this.later);
    if (from) {
      const share = scale / from.scale, mx = this.margin * this.width, my = this.margin * this.height;
      const left = x - from.x * share - mx * share, top = y - from.y * share - my * share;
      const right = left + (this.width + 2 * mx) * share, foot = top + (this.height + 2 * my) * share;
      const out = left > 0 || top > 0 || right < this.width || foot < this.height || share > 2 || share < 0.6;
      if (out && !this.job) this.start();
      else this.later = setTimeout(() => { if (share !== 1 || Math.abs(x - from.x) + Math.abs(y - from.y) > 40) this.redraw(); }, 120);
    } else if (!this.job) this.start();
    this.request();
  }
  request() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.frame(); });
  }
  frame() {
    if (!this.width || !this.field) return;
    if (this.job) { this.work(this.frontView ? 6 : 30); }
    this.paint();
    if (this.job) this.request();
  }
  /* Draw all at once: for paper. */
  now() {
    if (!this.field || !this.width) return;
    this.start();
    this.work(Infinity);
    this.paint();
  }
  start() {
    if (!this.field || !this.width) return;
    const context = this.back.getContext("2d"), { ratio, view } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.back.width, this.back.height);
    context.setTransform(ratio, 0, 0, ratio, this.margin * this.width * ratio, this.margin * this.height * ratio);
    this.ground(context);
    context.lineCap = context.lineJoin = "round";
    this.job = { context, view: { ...view }, at: 0, bucket: -1, theme: RG.theme() };
  }
  /* Land, relief and cells, as far as the map has them. */
  ground(context) {
    const { data, about, view } = this, theme = RG.theme(), { width, height } = about.map;
    context.save();
    context.translate(view.x, view.y);
    context.scale(view.scale, view.scale);
    if (data.land) {
      context.fillStyle = theme.land;
      context.beginPath();
      let at = 0;
      for (const count of data.land_count) {
        for (let i = 0; i < count; i++, at += 2) context[i ? "lineTo" : "moveTo"](data.land[at], data.land[at + 1]);
        context.closePath();
      }
      context.fill();
    }
    const relief = this.relief(theme.name);
    if (relief) context.drawImage(relief, 0, 0, width, height);
    if (data.graticule) {
      context.strokeStyle = theme.graticule;
      context.lineWidth = 0.6 / view.scale;
      context.beginPath();
      let at = 0;
      for (const count of data.graticule_count) {
        for (let i = 0; i < count; i++, at += 2) context[i ? "lineTo" : "moveTo"](data.graticule[at], data.graticule[at + 1]);
      }
      context.stroke();
    }
    if (data.cell) {
      context.imageSmoothingEnabled = false;
      context.globalAlpha = 0.75;
      context.drawImage(this.cells(), 0, 0, width, height);
    }
    context.restore();
  }
  relief(name) {
    const text = this.about.relief && this.about.relief[name];
    if (!text) return null;
    let picture = this.grounds[name];
    if (!picture) {
      picture = this.grounds[name] = new Image();
      picture.onload = () => { picture.ready = true; this.redraw(); };
      picture.src = `data:image/png;base64,${text}`;
    }
    return picture.ready ? picture : null;
  }
  cells() {
    if (this.cellPicture) return this.cellPicture;
    const { data, field } = this, [down, across] = this.about.cells, theme = RG.theme();
    const colours = theme.palettes[field.colours].map(RG.rgb), pale = theme.pale[field.colours].map(RG.rgb);
    const picture = document.createElement("canvas");
    picture.width = across;
    picture.height = down;
    const context = picture.getContext("2d"), pixels = context.createImageData(across, down);
    const values = data[`${field.name}.cell`];
    data.cell.forEach((cell, i) => {
      const told = this.fade ? data.cell_told[i] : 1; /* bare land where no gauge informs, as reaches are grey */
      if (values[i] === 255 || !(told & 1)) return;
      const share = values[i] / 254, place = field.backwards ? 1 - share : share;
      const colour = (told & 2 ? pale : colours)[Math.min(RG.COLOURS - 1, Math.floor(place * RG.COLOURS))];
      pixels.data.set([...colour, 255], 4 * cell);
    });
    context.putImageData(pixels, 0, 0);
    this.cellPicture = picture;
    return picture;
  }
  work(budget) {
    const { job, data, order, key } = this, { context, view, theme } = job, { scale } = view;
    const lines = data.lines, step = 2 * this.about.map.points, until = performance.now() + budget;
    const colours = theme.palettes[this.field.colours], pale = theme.pale[this.field.colours];
    const wide = Math.min(3, Math.max(1, (scale / this.home) ** 0.3));
    const left = (-this.margin * this.width - view.x) / scale, right = ((1 + this.margin) * this.width - view.x) / scale;
    const top = (-this.margin * this.height - view.y) / scale, foot = ((1 + this.margin) * this.height - view.y) / scale;
    let open = false, i = job.at;
    for (; i < order.length; i++) {
      if ((i & 255) === 0 && performance.now() > until) break;
      const line = order[i], at = line * step, last = at + step - 2;
      const x0 = lines[at], y0 = lines[at + 1], x1 = lines[last], y1 = lines[last + 1];
      if ((x0 < left && x1 < left) || (x0 > right && x1 > right) || (y0 < top && y1 < top) || (y0 > foot && y1 > foot)) continue;
      if (key[line] !== job.bucket) {
        if (open) context.stroke();
        job.bucket = key[line];
        const colour = job.bucket % RG.COLOURS, rest = (job.bucket - colour) / RG.COLOURS, layer = rest >> 4;
        context.strokeStyle = layer === 0 ? theme.uninformed : layer === 1 ? pale[colour] : colours[colour];
        context.lineWidth = ((rest & 15) * 8 + 4) / 20 * wide * (layer === 2 ? 1 : layer ? 0.8 : 0.6);
        open = false;
      }
      if (!open) { context.beginPath(); open = true; }
      context.moveTo(x0 * scale + view.x, y0 * scale + view.y);
      if (x0 === x1 && y0 === y1 && step === 4) context.lineTo(x0 * scale + view.x + 0.05, y0 * scale + view.y);
      else for (let p = at + 2; p <= last; p += 2) context.lineTo(lines[p] * scale + view.x, lines[p + 1] * scale + view.y);
    }
    if (open) context.stroke();
    job.at = i;
    if (i < order.length) { job.bucket = -1; return; }
    [this.front, this.back] = [this.back, this.front];
    this.frontView = job.view;
    this.drawRings();
    this.job = null;
    this.finished++;
    if (this.finished === 1) { performance.mark("map drawn"); document.documentElement.dataset.map = "drawn"; }
    this.moved();
  }
  paint() {
    const { context, ratio, view } = this, theme = RG.theme();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const from = this.frontView || (this.job && this.job.view);
    for (const picture of from ? (this.frontView ? [this.front, this.rings] : [this.back]) : []) {
      const share = view.scale / from.scale;
      const left = view.x - (from.x + this.margin * this.width) * share;
      const top = view.y - (from.y + this.margin * this.height) * share;
      context.drawImage(picture, left * ratio, top * ratio, picture.width * share, picture.height * share);
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.paintPath(context, theme);
    this.paintChosen(context, theme);
    this.paintEnds(context, theme);
    if (this.cross) {
      context.strokeStyle = theme.ink;
      context.lineWidth = 1.5;
      context.beginPath();
      const x = this.width / 2, y = this.height / 2;
      context.moveTo(x - 9, y); context.lineTo(x + 9, y); context.moveTo(x, y - 9); context.lineTo(x, y + 9);
      context.stroke();
    }
  }
  paintPath(context, theme) {
    const { data, view } = this, step = 2 * this.about.map.points, lines = data.lines;
    const trace = (reaches) => {
      context.beginPath();
      for (const reach of reaches) {
        const line = this.lineOf[reach];
        if (line < 0) continue;
        for (let p = line * step; p < (line + 1) * step; p += 2) {
          context[p === line * step ? "moveTo" : "lineTo"](lines[p] * view.scale + view.x, lines[p + 1] * view.scale + view.y);
        }
      }
    };
    context.lineCap = context.lineJoin = "round";
    const both = this.path.length ? this.path : this.chosen.reaches;
    if (both.length) {
      trace(both);
      context.strokeStyle = theme.page; context.lineWidth = 9; context.stroke();
      context.strokeStyle = theme.mark; context.lineWidth = 5; context.stroke();
    }
  }
  paintEnds(context, theme) {
    const { view } = this;
    this.chosen.reaches.forEach((reach, i) => {
      const [u, v] = this.middle(reach);
      if (!Number.isFinite(u)) return;
      const x = u * view.scale + view.x, y = v * view.scale + view.y;
      context.beginPath();
      context.arc(x, y, 9, 0, 7);
      context.fillStyle = theme.mark;
      context.strokeStyle = theme.page;
      context.lineWidth = 2;
      context.fill();
      context.stroke();
      context.fillStyle = theme.page;
      context.font = "bold 12px system-ui, sans-serif";
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.fillText("AB"[i], x, y + 0.5);
    });
  }
  /* Gauges go into a picture of their own that moves with that of the reaches. */
  drawRings() {
    const { records, value, scale, colours } = this.gauges, view = this.frontView, theme = RG.theme();
    if (!view) return;
    const context = this.rings.getContext("2d"), { ratio } = this, mx = this.margin * this.width, my = this.margin * this.height;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.rings.width, this.rings.height);
    context.setTransform(ratio, 0, 0, ratio, mx * ratio, my * ratio);
    if (!value) return;
    const palette = theme.palettes[colours], radius = this.radius(), groups = new Map();
    records.forEach((one, i) => {
      if (!one.xy) return;
      const x = one.xy[0] * view.scale + view.x, y = one.xy[1] * view.scale + view.y;
      if (x < -mx || y < -my || x > this.width + mx || y > this.height + my) return;
      const number = value(one, i);
      const colour = number === null || !Number.isFinite(number) ? theme.uninformed
        : palette[Math.min(RG.COLOURS - 1, Math.floor(RG.scaled(number, scale) * RG.COLOURS))];
      if (!groups.has(colour)) groups.set(colour, []);
      groups.get(colour).push(x, y, one.held ? 1 : 0);
    });
    const rings = (places) => {
      context.beginPath();
      for (let i = 0; i < places.length; i += 3) {
        const x = places[i], y = places[i + 1];
        if (places[i + 2]) {
          const r = radius * 1.25;
          context.moveTo(x, y - r); context.lineTo(x + r, y); context.lineTo(x, y + r); context.lineTo(x - r, y);
          context.closePath();
        } else {
          context.moveTo(x + radius, y);
          context.arc(x, y, radius, 0, 6.2832);
        }
      }
      context.stroke();
    };
    context.lineJoin = "miter";
    const small = radius < 3, thick = small ? 1.2 : radius * 0.42;
    for (const [colour, places] of groups) {
      context.strokeStyle = theme.ink;
      context.lineWidth = thick + (small ? 0.7 : 1.4);
      rings(places);
      context.strokeStyle = colour;
      context.lineWidth = thick;
      rings(places);
    }
  }
  paintChosen(context, theme) {
    const one = this.gauges.records[this.chosen.gauge], { view } = this, radius = this.radius();
    if (one && one.xy) {
      context.strokeStyle = theme.mark;
      context.lineWidth = 3;
      context.beginPath();
      context.arc(one.xy[0] * view.scale + view.x, one.xy[1] * view.scale + view.y, radius + 7, 0, 7);
      context.stroke();
    }
  }
};

RG.rgb = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));

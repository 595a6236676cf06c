/* Light or dark, as the reader's system has it; light on paper. */
RG.dark = matchMedia("(prefers-color-scheme: dark)");
RG.paper = matchMedia("print");
RG.themes = null;
RG.printing = false;
addEventListener("beforeprint", () => { RG.printing = true; });
addEventListener("afterprint", () => { RG.printing = false; });
RG.theme = () => RG.themes[RG.dark.matches && !RG.paper.matches && !RG.printing ? "dark" : "light"];
RG.onTheme = (run) => {
  for (const media of [RG.dark, RG.paper]) media.addEventListener("change", run);
};

RG.scaled = (value, scale) => {
  if (scale.root) { /* about 0, by the root of the size: many small changes differ, and a few large ones still fit */
    const share = 0.5 + 0.5 * Math.sign(value) * Math.sqrt(Math.abs(value) / scale.max);
    return share < 0 ? 0 : share > 1 ? 1 : share;
  }
  const share = scale.log
    ? Math.log(value / scale.min) / Math.log(scale.max / scale.min)
    : (value - scale.min) / (scale.max - scale.min);
  return share < 0 ? 0 : share > 1 ? 1 : share;
};

RG.legend = (element, title, unit, scale, colours, backwards) => {
  const stops = backwards ? [...colours].reverse() : colours;
  const bar = RG.make("div", { class: "ramp" });
  bar.style.background = `linear-gradient(to right, ${stops.join(",")})`;
  const ticks = RG.make("div", { class: "ticks" });
  let last = -1;
  for (const value of scale.ticks) {
    const place = RG.scaled(value, scale);
    if (place - last < 0.11) continue;
    last = place;
    const tick = RG.make("span", {}, RG.number(value));
    tick.style.left = `${100 * place}%`;
    tick.style.transform = place < 0.04 ? "none" : place > 0.96 ? "translateX(-100%)" : ""; /* within the bar */
    ticks.append(tick);
  }
  element.replaceChildren(RG.make("div", { class: "what" }, unit ? `${title} (${unit})` : title), bar, ticks);
};

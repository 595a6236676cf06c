"use strict";
/* Reading what stands in the page: JSON, and arrays packed by report/interactive/packing.py. */
const RG = {};

RG.json = (id) => JSON.parse(document.getElementById(id).textContent);

RG.inflate = async (base64) => {
  const raw = atob(base64);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
};

RG.ARRAYS = {
  float32: Float32Array, float64: Float64Array, int32: Int32Array, uint16: Uint16Array, uint8: Uint8Array,
};

RG.unpack = async (base64) => {
  const buffer = await RG.inflate(base64);
  const words = new TextDecoder();
  const head = Number(words.decode(new Uint8Array(buffer, 0, 8)));
  const about = JSON.parse(words.decode(new Uint8Array(buffer, 8, head)));
  const found = {};
  for (const [name, [kind, start, length]] of Object.entries(about)) {
    const at = 8 + head + start;
    found[name] = kind === "json"
      ? JSON.parse(words.decode(new Uint8Array(buffer, at, length)))
      : new RG.ARRAYS[kind](buffer, at, length / RG.ARRAYS[kind].BYTES_PER_ELEMENT);
  }
  return found;
};

/* The series of a gauge: an array of (time) for each name, m³/s, NaN where missing. */
RG.series = async (text, names, count, top) => {
  const bytes = new Uint8Array(await RG.inflate(text));
  const total = names.length * count;
  const found = {};
  names.forEach((name, k) => {
    const values = new Float64Array(count);
    let step = 0;
    for (let i = 0; i < count; i++) {
      const at = k * count + i;
      step = (step + bytes[at] + 256 * bytes[total + at]) & 65535;
      values[i] = step === 65535 ? NaN : (step / 4095) ** 2 * top;
    }
    found[name] = values;
  });
  return found;
};

RG.times = (axis) => axis.times
  ? Float64Array.from(axis.times)
  : Float64Array.from({ length: axis.count }, (_, i) => axis.start + i * axis.step);

RG.number = (value, digits = 3) => {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const text = size !== 0 && (size >= 1e6 || size < 1e-3)
    ? value.toExponential(digits - 1)
    : size >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(digits)));
  return text.replace("-", "−");
};
RG.score = (value) => value === null || !Number.isFinite(value) ? "–" : value.toFixed(3).replace("-", "−");
RG.signed = (value) => value === null || !Number.isFinite(value) ? "–" : (value > 0 ? "+" : "") + RG.score(value);
RG.percent = (value) => value === null || !Number.isFinite(value)
  ? "–" : Math.abs(value) < 0.005 ? "0 %" : (value > 0 ? "+" : "") + (100 * value).toFixed(0).replace("-", "−") + " %";

RG.make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") for (const [event, run] of Object.entries(value)) element.addEventListener(event, run);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
};

// What the interactive figures share: maps of numbers, drawing, controls, and the start of every figure on the page.
// Plain scripts, no modules, which browsers refuse on pages that are opened from the disk.
"use strict";

window.msvFigures = (() => {
  // -- maps of numbers: {height, width, values}, row after row; matrices: a list of rows -----------------------------

  function map(height, width, at) {
    const values = new Float64Array(height * width);
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) values[y * width + x] = at(y, x);
    return { height, width, values };
  }

  const get = (m, y, x) => m.values[y * m.width + x];
  const matrix = (rows, columns) => Array.from({ length: rows }, () => new Array(columns).fill(0));
  const times = (m, row) => m.map((weights) => weights.reduce((sum, w, k) => sum + w * row[k], 0));

  // One operation along the columns of a map and one along its rows: out = A map Bᵀ.
  function apply(a, m, b = a) {
    const half = map(a.length, m.width, (i, x) => a[i].reduce((sum, w, y) => (w ? sum + w * get(m, y, x) : sum), 0));
    return map(a.length, b.length, (i, j) => b[j].reduce((sum, w, x) => (w ? sum + w * get(half, i, x) : sum), 0));
  }

  const combine = (a, b, f) => map(a.height, a.width, (y, x) => f(get(a, y, x), get(b, y, x)));

  // Output pixel i is centred at c = (i + ½) n / out − ½. A triangle around it weighs the pixels; it is one pixel wide to
  // each side, or n / out where antialiasing has to cover all pixels of a smaller image. "nearest" copies one pixel.
  function resizeMatrix(n, out, method = "bilinear", antialias = false) {
    const result = matrix(out, n);
    for (let i = 0; i < out; i++) {
      if (method === "nearest") {
        result[i][Math.floor(((2 * i + 1) * n) / (2 * out))] = 1;
        continue;
      }
      const width = antialias ? Math.max(n / out, 1) : 1;
      let centre = ((i + 0.5) * n) / out - 0.5;
      if (!antialias) centre = Math.min(Math.max(centre, 0), n - 1);
      const weights = result[i].map((_, x) => Math.max(1 - Math.abs(x - centre) / width, 0));
      const total = weights.reduce((a, b) => a + b);
      result[i] = weights.map((w) => w / total);
    }
    return result;
  }

  // The photograph that comes with a figure: one byte a pixel, row after row, in base 64.
  function photograph(element) {
    const { height, width, pixels } = element.dataset;
    const bytes = atob(pixels);
    return map(Number(height), Number(width), (y, x) => bytes.charCodeAt(y * width + x) / 255);
  }

  // -- drawing: grey from 0 to 1, or signed: blue below zero, white, red above ---------------------------------------

  const COLOURS = { taken: "#d55e00", quiet: "#0072b2", third: "#009e73" };

  function rgb(value, limit) {
    if (!limit) return [value * 255, value * 255, value * 255];
    const v = Math.min(Math.max(value / limit, -1), 1);
    const end = v < 0 ? [0, 114, 178] : [213, 94, 0];
    return end.map((channel) => 255 + (channel - 255) * Math.abs(v));
  }

  // A map at (left, top) on a canvas, each of its pixels a square of `zoom`.
  function paint(canvas, m, { zoom = 1, limit = 0, left = 0, top = 0, colour = null } = {}) {
    const small = Object.assign(document.createElement("canvas"), { width: m.width, height: m.height });
    const image = new ImageData(m.width, m.height);
    for (let i = 0; i < m.values.length; i++) {
      image.data.set([...(colour ? colour(m.values[i], i) : rgb(m.values[i], limit)), 255], 4 * i);
    }
    small.getContext("2d").putImageData(image, 0, 0);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(small, left, top, m.width * zoom, m.height * zoom);
    return context;
  }

  function size(canvas, width, height) {
    canvas.width = width; // which also clears it
    canvas.height = height;
    canvas.parentElement.style.maxWidth = `${width}px`; // so that a long line under it breaks
  }

  function frame(context, x, y, width, height, colour, line = 2) {
    context.strokeStyle = colour;
    context.lineWidth = line;
    context.strokeRect(x + line / 2, y + line / 2, width - line, height - line);
  }

  // -- numbers in words ----------------------------------------------------------------------------------------------

  const round = (value, digits = 3) => String(Number(value.toFixed(digits))).replace(/^-0$/, "0").replace("-", "−");
  const sum = (terms) => terms.map(([a, b]) => `${round(a)} · ${round(b)}`).join(" + ");

  // -- controls and places of a figure -------------------------------------------------------------------------------

  let count = 0;

  function element(parent, name, properties = {}) {
    return parent.appendChild(Object.assign(document.createElement(name), properties));
  }

  class Figure {
    constructor(place) {
      this.update = () => {};
      this.live = element(place, "div", { className: "msv-live" });
      this.part();
    }

    part(title = "") {
      this.here = element(this.live, "div", { className: "msv-part" });
      if (title) element(this.here, "p", { className: "msv-title", textContent: title });
      this.controls = element(this.here, "div", { className: "msv-controls" });
      this.panels = element(this.here, "div", { className: "msv-panels" });
    }

    labelled(label, input) {
      const box = element(this.controls, "div", { className: "msv-control" });
      input.id = `msv-control-${++count}`;
      element(box, "label", { htmlFor: input.id, textContent: label });
      box.append(input);
      input.addEventListener("input", () => this.update());
      return box;
    }

    slider(label, min, max, value, { step = 1, show = round } = {}) {
      const input = Object.assign(document.createElement("input"), { type: "range", min, max, step, value });
      const shown = element(this.labelled(label, input), "span", { className: "msv-value" });
      shown.setAttribute("aria-hidden", "true"); // a range says its value itself
      return {
        input,
        get value() {
          shown.textContent = show(input.valueAsNumber);
          input.setAttribute("aria-valuetext", shown.textContent);
          return input.valueAsNumber;
        },
        set value(number) {
          input.value = number;
        },
        set max(number) {
          input.max = number;
        },
      };
    }

    choice(label, options) {
      const select = document.createElement("select");
      for (const [value, textContent] of Object.entries(options)) element(select, "option", { value, textContent });
      this.labelled(label, select);
      return select;
    }

    tick(label, checked = true) {
      const input = Object.assign(document.createElement("input"), { type: "checkbox", checked });
      this.labelled(label, input).classList.add("msv-tick");
      return input;
    }

    button(label, act) {
      const button = element(this.controls, "button", { type: "button", textContent: label, className: "msv-button" });
      button.addEventListener("click", () => (act(), this.update()));
    }

    // A canvas with a line under it; say(line, description) renews both. Touching it calls tap with the place, 0 to 1.
    canvas(tap = null) {
      const panel = element(this.panels, "div", { className: "msv-panel" });
      const canvas = element(panel, "canvas");
      const line = element(panel, "div", { className: "msv-caption" });
      canvas.setAttribute("role", "img");
      canvas.say = (text, description = text) => {
        line.textContent = text;
        canvas.setAttribute("aria-label", description);
      };
      if (tap) {
        canvas.addEventListener("click", (event) => {
          tap(event.offsetX / canvas.clientWidth, event.offsetY / canvas.clientHeight);
          this.update();
        });
      }
      return canvas;
    }

    // Sentences with the numbers, read out when they change.
    text() {
      const text = element(this.here, "p", { className: "msv-text" });
      text.setAttribute("aria-live", "polite");
      return text;
    }

    // A table: fill(rows, taken), each row a heading and numbers or words; taken(row, column) marks cells.
    table(label) {
      const table = element(element(this.here, "div", { className: "msv-table" }), "table");
      table.setAttribute("aria-label", label);
      table.fill = (rows, taken = () => false) => {
        table.replaceChildren();
        rows.forEach(([heading, ...cells], r) => {
          const line = element(table, "tr");
          element(line, "th", { scope: "row", textContent: heading });
          cells.forEach((cell, c) => {
            const textContent = typeof cell === "number" ? round(cell, 2) : cell;
            element(line, r === 0 ? "th" : "td", { textContent, className: taken(r, c) ? "msv-taken" : "" });
          });
        });
      };
      return table;
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const place of document.querySelectorAll(".msv-figure[data-figure]")) {
      const figure = new Figure(place);
      figure.update = window.msvFigures[place.dataset.figure].start(figure, photograph(place));
      figure.update();
      place.classList.add("msv-running");
    }
  });

  return { map, get, matrix, times, apply, combine, resizeMatrix, paint, size, frame, round, sum, COLOURS };
})();

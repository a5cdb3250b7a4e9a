// Chapter 8: what a resizing filter keeps of stripes and of a photograph.
"use strict";

msvFigures.resizing = (() => {
  const { map, get, apply, resizeMatrix, paint, size, frame, round, COLOURS } = msvFigures;
  const SIDE = 288;
  const METHODS = { nearest: ["nearest", false], bilinear: ["bilinear", false], antialiased: ["bilinear", true] };

  // Upright stripes of f cycles per pixel.
  const stripes = (n, f) => map(n, n, (_, x) => (1 + Math.cos(2 * Math.PI * f * x)) / 2);

  // The most that out of n pixels can hold, ½ cycle per small pixel, in cycles per pixel of the large image.
  const limit = (n, out) => out / (2 * n);

  // f n / out cycles per small pixel look like their distance from the nearest whole number.
  function folded(f, n, out) {
    const small = (f * n) / out;
    return (Math.abs(small - Math.round(small)) * out) / n;
  }

  const resizer = (n, out, method) => resizeMatrix(n, out, ...METHODS[method]);
  const resize = (m, out, method) => apply(resizer(m.height, out, method), m, resizer(m.width, out, method));
  const centre = (i, n, out) => ((i + 0.5) * n) / out - 0.5;

  function contrast(m) {
    const row = m.values.slice((m.height >> 1) * m.width, ((m.height >> 1) + 1) * m.width);
    const inner = row.slice(1, -1); // the filter is cut off at the borders
    return Math.max(...inner) - Math.min(...inner);
  }

  // The axis of frequencies: what the small picture can hold, the wave that goes in, and the one that comes out.
  function axis(figure) {
    const place = document.createElement("div");
    place.className = "msv-axis";
    place.setAttribute("aria-hidden", "true"); // all of it is said in the text
    const parts = ["held", "in", "out"].map((name) => place.appendChild(Object.assign(document.createElement("span"), { className: `msv-${name}` })));
    figure.here.append(place);
    const ends = figure.here.appendChild(Object.assign(document.createElement("div"), { className: "msv-ends" }));
    for (const textContent of ["0", "0.5 cycles per pixel"]) ends.append(Object.assign(document.createElement("span"), { textContent }));
    return (held, from, to) => {
      const [box, before, after] = parts;
      box.style.width = `${200 * held}%`;
      box.textContent = held > 0.1 ? "held" : "";
      for (const [mark, f, name] of [[before, from, "in"], [after, to, "out"]]) {
        mark.hidden = f === null;
        mark.style.left = `${200 * Math.min(f ?? 0, 0.485)}%`;
        mark.textContent = name;
      }
    };
  }

  function start(figure, photo) {
    const n = photo.width;
    const picture = figure.choice("Picture", { stripes: "stripes", photograph: "photograph" });
    const frequency = figure.slider("Cycles per pixel", 0.02, 0.5, 0.35, { step: 0.01, show: (f) => f.toFixed(2) });
    const target = figure.slider("New size", 12, n, 18);
    const method = figure.choice("Method", { nearest: "nearest", bilinear: "bilinear", antialiased: "bilinear, antialiased" });
    const choose = (x) => (chosen.value = Math.floor(x * target.value));
    const [before, after] = [figure.canvas(choose), figure.canvas(choose)];
    const draw = axis(figure);
    const words = figure.text();

    figure.part("One output pixel");
    const chosen = figure.slider("Output column", 0, 17, 8);
    const steps = figure.text();

    return () => {
      const [out, f, striped] = [target.value, frequency.value, picture.value === "stripes"];
      frequency.input.disabled = !striped;
      chosen.max = out - 1;
      const source = striped ? stripes(n, f) : photo;
      const small = resize(source, out, method.value);
      const [i, row] = [chosen.value, n >> 1];
      const weights = resizer(n, out, method.value);
      const taps = weights[i].map((w, x) => [w, x]).filter(([w]) => w > 1e-9);
      const unread = weights[0].filter((_, x) => weights.every((line) => line[x] < 1e-9)).length;

      const zoom = SIDE / n;
      size(before, SIDE, SIDE + 14);
      const context = paint(before, source, { zoom });
      for (let k = 0; k < out; k++) {
        context.fillStyle = k === i ? COLOURS.taken : "#8a8f98";
        const x = (centre(k, n, out) + 0.5) * zoom;
        context.fillRect(x - (k === i ? 2 : 1), SIDE + 3, k === i ? 4 : 2, 11);
      }
      for (const [, x] of taps) frame(context, x * zoom - 1, row * zoom - 3, zoom + 2, zoom + 6, COLOURS.taken);
      before.say(`${n} × ${n}; ticks: where the new pixels lie`);

      size(after, SIDE, SIDE + 14);
      const cell = SIDE / out;
      const middle = Math.floor(((row + 0.5) * out) / n);
      const drawn = paint(after, small, { zoom: cell });
      frame(drawn, i * cell - 2, middle * cell - 2, cell + 4, cell + 4, COLOURS.taken, 3);
      after.say(`${out} × ${out}, drawn as large`);

      const [held, alias] = [limit(n, out), folded(f, n, out)];
      const beyond = f > held + 1e-9;
      draw(held, striped ? f : null, striped ? alias : null);
      words.textContent =
        `The small picture can hold up to ${out} / (2 · ${n}) = ${round(held)} cycles per pixel of the large one. ` +
        (striped
          ? (beyond ? `Stripes of ${round(f)} are too fine: they come out as false ones of ${round(alias)}` : `Stripes of ${round(f)} are within it and stay what they are`) +
            `, with ${round((100 * contrast(small)) / contrast(source), 0)} % of their contrast.`
          : "In a photograph, too, what is finer folds unless it is smoothed away first.");

      const total = taps.reduce((sum, [w, x]) => sum + w * get(source, 0, x), 0);
      const value = striped ? total : apply([weights[middle]], source, [weights[i]]).values[0];
      const [first, last] = [taps[0][1], taps.at(-1)[1]];
      steps.textContent =
        `Column ${i} lies at (${i} + ½) · ${n} / ${out} − ½ = ${round(centre(i, n, out))} on the large picture. ` +
        (taps.length > 1 ? `It weighs columns ${first} to ${last}: ` : `It takes column ${first} alone: `) +
        taps.map(([w, x]) => (striped ? `${round(w)} · ${round(get(source, 0, x))}` : round(w))).join(striped ? " + " : ", ") +
        (striped ? ` = ${round(value)}.` : `; with the same along the rows, the framed pixel is ${round(value)}.`) +
        (unread ? ` Of ${n} columns, ${unread} are never looked at.` : "");
    };
  }

  return { stripes, limit, folded, resize, start };
})();

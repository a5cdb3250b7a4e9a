// Chapter 3: a map of any size, pooled into a fixed number of bins.
"use strict";

msvFigures.spp = (() => {
  const { map, get, apply, resizeMatrix, paint, size, frame, round, COLOURS } = msvFigures;

  // Bin i of b along n pixels: from ⌊i n / b⌋ up to, not including, ⌈(i + 1) n / b⌉.
  const edges = (n, b) => Array.from({ length: b }, (_, i) => [Math.floor((i * n) / b), Math.ceil(((i + 1) * n) / b)]);

  // The maximum or the average of each bin: a map of b × b.
  function pool(m, b, mode = "max") {
    const [rows, columns] = [edges(m.height, b), edges(m.width, b)];
    return map(b, b, (i, j) => {
      const inside = [];
      for (let y = rows[i][0]; y < rows[i][1]; y++) {
        for (let x = columns[j][0]; x < columns[j][1]; x++) inside.push(get(m, y, x));
      }
      return mode === "max" ? Math.max(...inside) : inside.reduce((a, c) => a + c) / inside.length;
    });
  }

  // The vector of several grids: grid after grid, row after row.
  const vector = (m, grids, mode) => grids.flatMap((b) => [...pool(m, b, mode).values]);

  function start(figure, photo) {
    const height = figure.slider("Rows", 2, 24, 13);
    const width = figure.slider("Columns", 2, 30, 19);
    const bins = figure.slider("Bins along a side", 1, 6, 4);
    const mode = figure.choice("Keep of each bin", { max: "the maximum", average: "the average" });
    const chosen = figure.slider("Bin", 0, 15, 6);
    const choose = (x, y) => (chosen.value = Math.floor(y * bins.value) * bins.value + Math.floor(x * bins.value));
    const whole = figure.canvas(choose);
    const pooled = figure.canvas(choose);
    const words = figure.text();
    const NAMES = { max: "maximum", average: "average" };

    figure.part("The bins along each side");
    const table = figure.table("First and last pixel of each bin");
    const steps = figure.text();

    return () => {
      const [h, w, b] = [height.value, width.value, bins.value];
      chosen.max = b * b - 1;
      const [i, j] = [Math.floor(chosen.value / b), chosen.value % b];
      const shrink = (n, out) => resizeMatrix(n, out, "bilinear", true);
      const m = apply(shrink(photo.height, h), photo, shrink(photo.width, w));
      const [rows, columns] = [edges(h, b), edges(w, b)];
      const grid = pool(m, b, mode.value);

      const zoom = Math.floor(Math.min(300 / w, 220 / h));
      size(whole, w * zoom, h * zoom);
      const context = paint(whole, m, { zoom });
      const draw = ([top, bottom], [left, right], colour, line, inset) =>
        frame(context, left * zoom + inset, top * zoom + inset, (right - left) * zoom - 2 * inset, (bottom - top) * zoom - 2 * inset, colour, line);
      rows.forEach((r, k) => columns.forEach((c, l) => draw(r, c, (k + l) % 2 ? COLOURS.quiet : COLOURS.third, 1.5, 1)));
      draw(rows[i], columns[j], COLOURS.taken, 4, 0);
      whole.say(`the map, ${h} × ${w}, and its bins`, `A photograph of a cup of coffee on a map of ${h} rows and ${w} columns, divided into ${b} × ${b} bins`);

      const cell = Math.floor(220 / b);
      size(pooled, b * cell, b * cell);
      frame(paint(pooled, grid, { zoom: cell }), j * cell, i * cell, cell, cell, COLOURS.taken, 4);
      pooled.say(`${NAMES[mode.value]} of each bin, ${b} × ${b}`);

      const value = get(grid, i, j);
      const inside = (rows[i][1] - rows[i][0]) * (columns[j][1] - columns[j][0]);
      words.textContent =
        `A map of ${h} × ${w} = ${h * w} numbers becomes a vector of ${b} × ${b} = ${b * b}. ` +
        `Change the size of the map: the vector stays as long. Number ${chosen.value} of it is ${round(value)}, the ${NAMES[mode.value]} of ${inside}.`;

      const span = ([first, end]) => (end - first > 1 ? `${first}–${end - 1}` : `${first}`);
      table.fill(
        [["bin", ...rows.keys()], [`${h} rows`, ...rows.map(span)], [`${w} columns`, ...columns.map(span)]],
        (r, c) => (r === 1 && c === i) || (r === 2 && c === j),
      );
      const rule = (k, n, [first, end]) => `⌊${k} · ${n} / ${b}⌋ = ${first} to ⌈${k + 1} · ${n} / ${b}⌉ − 1 = ${end - 1}`;
      const shared = rows.some(([first], k) => k > 0 && first < rows[k - 1][1]) || columns.some(([first], k) => k > 0 && first < columns[k - 1][1]);
      steps.textContent =
        `Bin (${i}, ${j}): rows ${rule(i, h, rows[i])}; columns ${rule(j, w, columns[j])}. ` +
        (shared ? "Where the division leaves a remainder, neighbouring bins share pixels." : "No pixel is in two bins.");
    };
  }

  return { edges, pool, vector, start };
})();

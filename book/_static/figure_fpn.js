// Chapter 6: the way down of a feature pyramid network.
"use strict";

msvFigures.fpn = (() => {
  const { map, matrix, times, apply, combine, resizeMatrix, paint, size, round } = msvFigures;
  const { gaussian, laplacian } = msvFigures.pyramid;
  const [FINE, COARSE, LEVELS, SIDE] = [[0, 2, 0, 4], [3, 1], 4, 194];

  // Enlarging n pixels to out: copies of pixel ⌊i n / out⌋, or linear between the pixels with half-pixel centres.
  function enlargeMatrix(n, out, method) {
    if (method === "bilinear") return resizeMatrix(n, out);
    return matrix(out, n).map((row, i) => ((row[Math.floor((i * n) / out)] = 1), row));
  }

  const enlarge = (m, { height, width }, method) =>
    apply(enlargeMatrix(m.height, height, method), m, enlargeMatrix(m.width, width, method));

  // M_last = lateral_last, and M_l = lateral_l + up(M_{l+1}) from the coarsest down. Finest first.
  function topDown(laterals, method) {
    const merged = [laterals.at(-1)];
    for (const lateral of laterals.slice(0, -1).reverse()) {
      merged.unshift(combine(lateral, enlarge(merged[0], lateral, method), (a, b) => a + b));
    }
    return merged;
  }

  function start(figure, photo) {
    const level = figure.slider("Level made", 0, LEVELS - 1, 0);
    const method = figure.choice("Enlarge by", { nearest: "nearest", bilinear: "bilinear" });
    const bands = laplacian(gaussian(photo, LEVELS));
    const ticks = bands.map((_, l) => figure.tick(`Lateral ${l}`));
    const [left, centre, right] = [figure.canvas(), figure.canvas(), figure.canvas()];
    const words = figure.text();

    figure.part("One row");
    const fineWeight = figure.slider("Lateral weight λ₀", 0, 2, 0.5, { step: 0.5 });
    const coarseWeight = figure.slider("Lateral weight λ₁", 0, 3, 2, { step: 0.5 });
    const pixel = figure.slider("Pixel of M₀", 0, 3, 1);
    const table = figure.table("The row of M0, step by step");
    const steps = figure.text();

    function draw(canvas, m, limit, line) {
      size(canvas, SIDE, SIDE);
      if (m) paint(canvas, m, { zoom: SIDE / m.width, limit });
      canvas.say(line);
    }

    function drawPicture() {
      const zero = (band) => map(band.height, band.width, () => 0);
      const laterals = bands.map((band, l) => (ticks[l].checked ? band : zero(band)));
      const merged = topDown(laterals, method.value);
      const [l, last] = [level.value, LEVELS - 1];
      const limit = ticks[last].checked ? 0 : 0.3; // without the coarsest, what is left lies about zero
      const from = l < last ? enlarge(merged[l + 1], bands[l], method.value) : null;
      draw(left, laterals[l], l < last ? 0.3 : 0, `lateral ${l}` + (ticks[l].checked ? "" : ", left out"));
      draw(centre, from, limit, from ? `+ M${l + 1}, enlarged` : "+ nothing: no coarser level");
      draw(right, merged[l], limit, `= M${l}, ${bands[l].height} × ${bands[l].width}`);
      const error = Math.max(...combine(merged[0], photo, (a, b) => Math.abs(a - b)).values);
      words.textContent =
        (l < last ? `M${l + 1} has ${bands[l + 1].width} pixels a side and is brought to ${bands[l].width}: ask for a size, not for a factor of 2. ` : "The coarsest level starts: M is its lateral. ") +
        `M0 differs from the photograph by at most ${round(error, 2)}. ` +
        "White is zero in a signed map, red above, blue below; ±0.3 has the full colour.";
    }

    function drawRow() {
      const i = pixel.value;
      const coarse = COARSE.map((v) => v * coarseWeight.value);
      const lateral = FINE.map((v) => v * fineWeight.value);
      const weights = enlargeMatrix(2, 4, method.value);
      const back = times(weights, coarse);
      const total = lateral.map((v, k) => v + back[k]);
      table.fill(
        [["pixel", ...FINE.keys()], ["C₀", ...FINE], ["λ₀ C₀", ...lateral], ["M₁, enlarged", ...back], ["M₀", ...total]],
        (r, c) => r > 0 && c === i,
      );
      const at = (i + 0.5) / 2 - 0.5;
      const how =
        method.value === "nearest"
          ? `pixel ${i} copies pixel ⌊${i} · 2 / 4⌋ = ${Math.floor(i / 2)}: ${round(back[i])}.`
          : `pixel ${i} lies at (${i} + ½) · 2 / 4 − ½ = ${round(at)}, ` +
            (at < 0 || at > 1 ? `beyond the last centre, and takes ${round(back[i])}.` : `so ${weights[i].map((w, k) => `${round(w)} · ${round(coarse[k])}`).join(" + ")} = ${round(back[i])}.`);
      steps.textContent =
        `C₁ = (3, 1), so M₁ = ${round(coarseWeight.value)} · (3, 1) = (${coarse.map((v) => round(v)).join(", ")}). ` +
        `On its row, ${how} M₀[${i}] = ${round(lateral[i])} + ${round(back[i])} = ${round(total[i])}.`;
    }

    return () => (drawPicture(), drawRow());
  }

  return { enlargeMatrix, topDown, start };
})();

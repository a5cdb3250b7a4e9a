// Chapter 1: a Gaussian and a Laplacian pyramid, with the filter and without it.
"use strict";

msvFigures.pyramid = (() => {
  const { map, matrix, times, apply, combine, paint, size, round } = msvFigures;
  const WEIGHTS = [1, 4, 6, 4, 1];
  const ZOOM = 2;
  const ROWS = [
    [0, 0, 0, 16, 0, 0, 0, 8, 8],
    [4, 4, 4, 4, 12, 12, 12, 12, 12],
    [0, 16, 0, 16, 0, 16, 0, 16, 0],
    [2, 9, 4, 7, 5, 3, 8, 1, 6],
  ];

  // Pixels beyond the edge are mirrored about the edge pixel, dcb|abcd|cba, as often as it takes.
  function reflect(position, n) {
    const last = n - 1;
    return last - Math.abs(last - (Math.abs(position) % Math.max(2 * last, 1)));
  }

  // G_next[i] = Σ w_k G[2i + k] with w = (1, 4, 6, 4, 1) / 16, k from −2 to 2; without smoothing, G_next[i] = G[2i].
  function reduceMatrix(n, smooth = true) {
    return matrix(Math.ceil(n / 2), n).map((row, i) => {
      if (smooth) WEIGHTS.forEach((w, k) => (row[reflect(2 * i + k - 2, n)] += w / 16));
      else row[2 * i] = 1;
      return row;
    });
  }

  // Back to the finer grid: (1, 6, 1) / 8 over an old pixel, (1, 1) / 2 between two; mirrored before, repeated after.
  function expandMatrix(n, fine) {
    return matrix(fine, n).map((row, j) => {
      const here = Math.floor(j / 2);
      const after = Math.min(here + 1, n - 1);
      const taps = j % 2 ? [[here, 1 / 2], [after, 1 / 2]] : [[reflect(here - 1, n), 1 / 8], [here, 6 / 8], [after, 1 / 8]];
      taps.forEach(([x, w]) => (row[x] += w));
      return row;
    });
  }

  function gaussian(picture, levels, smooth = true) {
    const result = [picture];
    while (result.length < levels) {
      const { height, width } = result.at(-1);
      result.push(apply(reduceMatrix(height, smooth), result.at(-1), reduceMatrix(width, smooth)));
    }
    return result;
  }

  const up = (coarse, { height, width }) =>
    apply(expandMatrix(coarse.height, height), coarse, expandMatrix(coarse.width, width));

  // L_l = G_l − up(G_{l+1}), and the coarsest level itself.
  const laplacian = (levels) =>
    levels.map((g, l) => (l + 1 < levels.length ? combine(g, up(levels[l + 1], g), (a, b) => a - b) : g));

  // Rings that grow finer outwards, up to half a cycle per pixel: (1 + cos(π ½ r² / (n / 2))) / 2.
  const rings = (n) => map(n, n, (y, x) => (1 + Math.cos((Math.PI * ((y - (n >> 1)) ** 2 + (x - (n >> 1)) ** 2)) / n)) / 2);

  function start(figure, roof) {
    const pictures = { roof, rings: rings(roof.width) };
    const which = figure.choice("Picture", { roof: "roof", rings: "rings" });
    const kind = figure.choice("Pyramid", { gaussian: "Gaussian", laplacian: "Laplacian" });
    const count = figure.slider("Levels", 2, 6, 5);
    const level = figure.slider("Level shown", 0, 4, 2);
    const smooth = figure.tick("Smooth before dropping pixels");
    const [before, after] = [figure.canvas(), figure.canvas()];
    const words = figure.text();

    figure.part("One row");
    const pixel = figure.slider("Pixel of level 1", 0, 4, 2);
    let row = 0;
    figure.button("Other numbers", () => (row = (row + 1) % ROWS.length));
    const table = figure.table("A row of nine numbers and its next level");
    const steps = figure.text();

    function drawPicture() {
      level.max = count.value - 1;
      const levels = gaussian(pictures[which.value], count.value, smooth.checked);
      const [l, last] = [level.value, levels.length - 1];
      const bands = kind.value === "laplacian";
      const shown = bands ? laplacian(levels)[l] : levels[l];
      const n = ZOOM * roof.width;
      const zoom = ZOOM * 2 ** l;
      for (const [canvas, m, limit] of [[before, levels[bands ? l : 0], 0], [after, shown, bands && l < last ? 0.3 : 0]]) {
        size(canvas, n, n);
        const side = m === levels[0] ? ZOOM : zoom; // pixel i of level l lies over pixel 2^l i, centre over centre
        paint(canvas, m, { zoom: side, limit, left: (ZOOM - side) / 2, top: (ZOOM - side) / 2 });
      }
      const sizes = levels.map((g) => g.width).join(", ");
      before.say(bands ? `Gaussian level ${l}` : "level 0, the picture");
      after.say(`${bands ? (l < last ? "Laplacian band" : "the coarsest level,") : "Gaussian level"} ${l}: ${shown.height} × ${shown.width} pixels`);
      const share = levels.reduce((sum, g) => sum + g.values.length, 0) / roof.values.length;
      words.textContent =
        `${count.value} levels, ${sizes} pixels wide: ${round(share)} times the pixels of the picture. ` +
        (bands ? "White is zero, red is brighter than the coarser level says, blue darker; ±0.3 has the full colour. " : "") +
        (l === 0 || smooth.checked ? "" : `Each pixel is one of ${4 ** l} of the picture, as it happened to be: what is too fine has folded.`);
    }

    function drawRow() {
      const [x, i] = [ROWS[row], pixel.value];
      const reduce = reduceMatrix(9, smooth.checked);
      const next = times(reduce, x);
      const spread = x.map((_, j) => (j % 2 ? "" : next[j / 2]));
      const rows = [["pixel", ...x.keys()], ["level 0", ...x]];
      if (smooth.checked) rows.push(["weight × 16", ...reduce[i].map((w) => (w ? 16 * w : ""))]);
      rows.push(["level 1", ...spread]);
      if (kind.value === "laplacian") {
        const back = times(expandMatrix(5, 9), next);
        rows.push(["level 1, up", ...back], ["band 0", ...x.map((v, j) => v - back[j])]);
      }
      const line = rows.findIndex(([name]) => name === "level 1");
      table.fill(rows, (r, c) => (r === line ? c === 2 * i : r < line && r > 0 && reduce[i][c] > 0));
      const beyond = WEIGHTS.map((_, k) => 2 * i + k - 2).filter((p) => p < 0 || p > 8);
      const taps = WEIGHTS.map((w, k) => `${w} · ${x[reflect(2 * i + k - 2, 9)]}`).join(" + ");
      steps.textContent = smooth.checked
        ? `Pixel ${i} of level 1, over pixel ${2 * i}: (${taps}) / 16 = ${round(next[i])}.` +
          (beyond.length ? ` Pixels ${beyond.map((p) => round(p)).join(" and ")} lie beyond the edge; the mirror has pixels ${beyond.map((p) => reflect(p, 9)).join(" and ")} there.` : "")
        : `Pixel ${i} of level 1 is pixel ${2 * i}, ${x[2 * i]}. Nobody looks at pixels 1, 3, 5 and 7.`;
    }

    return () => (drawPicture(), drawRow());
  }

  return { reflect, reduceMatrix, expandMatrix, gaussian, laplacian, rings, start };
})();

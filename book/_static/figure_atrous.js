// Chapter 5: weights that stand apart, and what a stack of such layers sees.
"use strict";

msvFigures.atrous = (() => {
  const { map, get, paint, size, frame, round, sum, COLOURS } = msvFigures;
  const [ROW, WEIGHTS, ZOOM] = [[3, 1, 4, 1, 5, 9, 2], [1, 10, 100], 4];

  // y[i] = Σ w_k x[i + r k], k from −1 to 1; beyond the row, x is zero.
  const atrousRow = (x, weights, rate) => x.map((_, i) => weights.reduce((y, w, k) => y + w * (x[i + rate * (k - 1)] ?? 0), 0));

  // The same in two directions with nine equal weights of 1/9.
  function average(m, rate) {
    return map(m.height, m.width, (y, x) => {
      let total = 0;
      for (let v = y - rate; v <= y + rate; v += rate) {
        for (let u = x - rate; u <= x + rate; u += rate) {
          if (v >= 0 && v < m.height && u >= 0 && u < m.width) total += get(m, v, u);
        }
      }
      return total / 9;
    });
  }

  const effective = (k, rate) => k + (k - 1) * (rate - 1);
  const field = (rates) => rates.reduce((size, rate) => size + 2 * rate, 1); // R = 1 + Σ (3 − 1) r

  // In how many ways each pixel along a side of the field reaches the output; in two directions they multiply.
  function ways(rates) {
    return rates.reduce(
      (before, rate) => Array.from({ length: before.length + 2 * rate }, (_, x) => (before[x] ?? 0) + (before[x - rate] ?? 0) + (before[x - 2 * rate] ?? 0)),
      [1],
    );
  }

  function start(figure, photo) {
    const layers = figure.slider("Layers of 3 × 3", 1, 3, 3);
    const rates = [1, 2, 3].map((number) => figure.slider(`Rate of layer ${number}`, 1, 8, 2));
    const input = figure.choice("Picture", { photograph: "photograph", point: "one bright pixel" });
    const [seen, result] = [figure.canvas(), figure.canvas()];
    const words = figure.text();

    figure.part("One row, through layer 1");
    const pixel = figure.slider("Output pixel", 0, 6, 2);
    const table = figure.table("A row of seven numbers, three weights, and the result");
    const steps = figure.text();
    const middle = photo.width >> 1;
    const point = map(photo.height, photo.width, (y, x) => (y === middle && x === middle ? 1 : 0));

    function drawPicture(used) {
      const [line, picture] = [ways(used), input.value === "point" ? point : photo];
      const [reach, first] = [line.length, middle - (line.length >> 1)];
      const inField = (y, x) => Math.min(y, x) >= first && Math.max(y, x) < first + reach;
      size(seen, ZOOM * photo.width, ZOOM * photo.height);
      const colour = (v, k) => {
        const [y, x] = [Math.floor(k / photo.width), k % photo.width];
        if (!inField(y, x)) return [0, 1, 2].map(() => 175 + 60 * v);
        return line[y - first] * line[x - first] ? [255 * v, 255 * v, 255 * v] : [0, 114, 178];
      };
      const context = paint(seen, picture, { zoom: ZOOM, colour });
      frame(context, ZOOM * first, ZOOM * first, ZOOM * reach, ZOOM * reach, COLOURS.taken);
      frame(context, ZOOM * middle - 1, ZOOM * middle - 1, ZOOM + 2, ZOOM + 2, COLOURS.taken);
      const along = line.filter(Boolean).length;
      seen.say("what the output pixel in the middle sees", `Its field is ${reach} pixels wide; of each row it sees ${along}`);

      const out = used.reduce(average, picture);
      const largest = Math.max(...out.values);
      size(result, ZOOM * photo.width, ZOOM * photo.height);
      paint(result, map(out.height, out.width, (y, x) => get(out, y, x) / (input.value === "point" ? largest : 1)), { zoom: ZOOM });
      result.say(input.value === "point" ? `what comes out; white is ${round(largest, 4)}` : "what comes out, all weights 1/9; zero beyond the border");

      words.textContent =
        `Each kernel spans ${used.map((r) => `3 + 2 · (${r} − 1) = ${effective(3, r)}`).join(", ")} pixels. ` +
        `Together they reach R = 1 ${used.map((r) => `+ 2 · ${r}`).join(" ")} = ${reach} pixels (frame). ` +
        (along === reach ? `All ${reach} × ${reach} of them are seen.` : `Of ${reach} × ${reach} = ${reach * reach} they see ${along} × ${along} = ${along * along}, ${round((100 * along ** 2) / reach ** 2, 0)} %; the blue ones are never looked at.`);
    }

    function drawRow(rate) {
      const [i, y] = [pixel.value, atrousRow(ROW, WEIGHTS, rate)];
      const tap = (x) => (x - i) / rate + 1; // which of the three weights stands over pixel x
      const weight = (_, x) => WEIGHTS[tap(x)] ?? "";
      table.fill(
        [["pixel", ...ROW.keys()], ["x", ...ROW], ["weight", ...ROW.map(weight)], ["y", ...y]],
        (r, c) => (r === 3 ? c === i : r > 0 && WEIGHTS[tap(c)] !== undefined),
      );
      const places = [i - rate, i, i + rate];
      const outside = places.filter((x) => x < 0 || x > 6);
      steps.textContent =
        `Rate ${rate}, pixels ${places.map((x) => round(x)).join(", ")}: ${sum(places.map((x, k) => [WEIGHTS[k], ROW[x] ?? 0]))} = ${y[i]}. ` +
        (outside.length ? `Beyond the row there is zero (${outside.map((x) => round(x)).join(", ")}).` : "") +
        (outside.length === 2 ? " One weight is left: a 1 × 1 convolution." : "");
    }

    return () => {
      rates.forEach((rate, number) => (rate.input.disabled = number >= layers.value));
      const values = rates.map((rate) => rate.value);
      drawPicture(values.slice(0, layers.value));
      drawRow(values[0]);
    };
  }

  return { atrousRow, average, effective, field, ways, start };
})();

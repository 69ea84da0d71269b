// SPDX-License-Identifier: Apache-2.0
// The last hour of a pair. Loaded only when a graph is shown: it brings uPlot with it.
import uPlot from 'uplot';
import type { Marks } from './series.ts';

type Gap = Marks['gaps'][number];

export interface Graph {
  update(marks: Marks): void;
  destroy(): void;
}

const pad = (n: number) => String(n).padStart(2, '0');
const timeOf = (s: number, seconds: boolean) => {
  const d = new Date(s * 1000);
  return `${pad(d.getHours())}:${pad(d.getMinutes())}${seconds ? ':' + pad(d.getSeconds()) : ''}`;
};

export function makeGraph(box: HTMLElement, first: Marks, width: number, height: number, onPoint: (text: string) => void): Graph {
  let marks = first;
  const style = getComputedStyle(box);
  const get = (name: string) => style.getPropertyValue(name).trim();
  const line = get('--graph-line');
  const fill = get('--graph-fill');
  const lossColour = get('--graph-loss');
  const localColour = get('--graph-local');
  const gapColour = get('--graph-gap');
  const soft = get('--soft');
  const grid = get('--graph-grid');
  const font = '11px -apple-system, "Segoe UI", system-ui, Roboto, "Liberation Sans", sans-serif';

  /** One across, or upright; cut at its end when even that has no room. */
  function drawLabel(c: CanvasRenderingContext2D, { words, paused }: Gap, x: number, y: number, width: number, height: number): void {
    const ratio = devicePixelRatio;
    c.font = font.replace('11px', `${11 * ratio}px`);
    c.textAlign = 'center';
    c.textBaseline = 'middle';
    const room = (text: string) => c.measureText(text).width + 10 * ratio;
    const across = room(words) < width;
    if (!across && width < 18 * ratio) return;
    let text = words;
    for (let n = words.length; room(text) > (across ? width : height) && n > 0; n--) text = `${words.slice(0, n)}…`;
    c.translate(x, y);
    if (!across) c.rotate(-Math.PI / 2);
    if (!paused) {
      c.fillStyle = get('--raised');
      c.fillRect(-room(text) / 2, -8 * ratio, room(text), 16 * ratio);
    }
    c.fillStyle = get(paused ? '--ink-paused' : '--text');
    c.fillText(text, 0, 0);
  }

  /** Nobody was to ping: an even field, closed on both sides. */
  function drawPause(c: CanvasRenderingContext2D, from: number, top: number, w: number, h: number): void {
    const edge = 2 * devicePixelRatio;
    c.fillStyle = get('--cell-paused');
    c.fillRect(from, top, w, h);
    c.fillStyle = get('--ink-paused');
    c.fillRect(from, top, edge, h);
    c.fillRect(from + w - edge, top, edge, h);
  }

  /** Samples are missing: hatched. */
  function drawMissing(c: CanvasRenderingContext2D, from: number, top: number, w: number, h: number): void {
    const ratio = devicePixelRatio;
    c.globalAlpha = 0.16;
    c.fillStyle = gapColour;
    c.fillRect(from, top, w, h);
    c.globalAlpha = 0.3;
    c.strokeStyle = gapColour;
    c.lineWidth = ratio;
    c.beginPath();
    for (let x = from - h; x < from + w; x += 7 * ratio) {
      c.moveTo(x, top + h);
      c.lineTo(x + h, top);
    }
    c.stroke();
    c.globalAlpha = 1;
  }

  function drawGaps(u: uPlot): void {
    const { ctx: c } = u;
    const { left, top, width, height: h } = u.bbox;
    for (const gap of marks.gaps) {
      const from = Math.max(left, u.valToPos(gap.fromS, 'x', true));
      const w = Math.min(left + width, u.valToPos(gap.toS, 'x', true)) - from;
      if (w <= 0) continue;
      c.save();
      c.beginPath();
      c.rect(from, top, w, h);
      c.clip();
      (gap.paused ? drawPause : drawMissing)(c, from, top, w, h);
      drawLabel(c, gap, from + w / 2, top + h / 2, w, h);
      c.restore();
    }
  }

  function drawMarks(u: uPlot): void {
    const { ctx: c } = u;
    const { top, height: h } = u.bbox;
    const ratio = devicePixelRatio;
    const bottom = top + h;
    c.save();
    c.fillStyle = lossColour;
    for (const s of marks.lostS) {
      const x = Math.round(u.valToPos(s, 'x', true));
      c.globalAlpha = 0.12;
      c.fillRect(x - ratio / 2, top, ratio, h);
      c.globalAlpha = 1;
      c.fillRect(x - ratio * 0.75, bottom - 10 * ratio, 1.5 * ratio, 10 * ratio);
    }
    c.fillStyle = localColour;
    for (const s of marks.localS) {
      const x = u.valToPos(s, 'x', true);
      const y = bottom - 5 * ratio;
      const r = 3 * ratio;
      c.beginPath();
      c.moveTo(x, y - r);
      c.lineTo(x + r, y);
      c.lineTo(x, y + r);
      c.lineTo(x - r, y);
      c.fill();
    }
    c.restore();
  }

  const axis: uPlot.Axis = {
    font, stroke: soft, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 4 }, gap: 4,
  };
  const plot = new uPlot(
    {
      width,
      height,
      legend: { show: false },
      padding: [8, 8, 0, 0],
      cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
      scales: {
        x: { time: true, range: () => [marks.fromS, marks.toS] },
        y: { range: (_u, _min, max) => [0, max > 0 ? max * 1.12 : 1] },
      },
      axes: [
        { ...axis, size: 26, space: 62, values: (_u, ticks) => ticks.map((s) => timeOf(s, false)) },
        { ...axis, size: 54, space: 28, values: (_u, ticks) => ticks.map((v) => `${+v.toPrecision(4)} ms`) },
      ],
      series: [
        {},
        { stroke: line, fill, width: 1.25, spanGaps: false, points: { show: true, size: marks.x.length < 100 ? 5 : 2, width: 0, fill: line } },
      ],
      hooks: {
        drawClear: [drawGaps],
        draw: [drawMarks],
        setCursor: [
          (u) => {
            const i = u.cursor.idx;
            const s = i === null || i === undefined ? undefined : marks.x[i];
            if (s === undefined) return onPoint('');
            const y = marks.y[i!];
            const what =
              typeof y === 'number' ? `${y.toFixed(2)} ms`
              : marks.lostS.includes(s) ? 'no reply'
              : marks.localS.includes(s) ? "agent's own trouble"
              : (marks.gaps.find((gap) => gap.fromS < s && s < gap.toS)?.words ?? 'no sample');
            onPoint(`${timeOf(s, true)}  ${what}`);
          },
        ],
      },
    },
    [marks.x, marks.y],
    box,
  );
  return {
    update(next) {
      marks = next;
      plot.setData([marks.x, marks.y]);
    },
    destroy: () => plot.destroy(),
  };
}

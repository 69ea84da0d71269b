// SPDX-License-Identifier: Apache-2.0
// Draws the visible part of the matrix on a canvas. Knows nothing of events or of where the data comes from.
import type { Mesh, Order } from '../model.ts';
import { agentTitle, NO_RTT, targetTitle } from '../model.ts';
import { STATE_COUNT, State, drawGlyph, isMeasured, states } from '../states.ts';
import { rttShort } from '../format.ts';
import { SLANT } from './layout.ts';
import type { Layout, Spot } from './layout.ts';

interface Palette {
  page: string;
  text: string;
  soft: string;
  line: string;
  accent: string;
  hover: string;
  cell: string[];
  glyph: string[];
}

const FONT = '-apple-system, "Segoe UI", system-ui, Roboto, "Noto Sans", "Liberation Sans", Cantarell, sans-serif';

export class Painter {
  private readonly context: CanvasRenderingContext2D;
  private sprites: HTMLCanvasElement[] = [];
  private spriteKey = '';
  private palette: Palette | undefined;
  private scale = 1;
  /** How many cells the last drawing touched. */
  drawn = 0;

  constructor(private readonly canvas: HTMLCanvasElement) {
    this.context = canvas.getContext('2d')!;
  }

  /** After a change of theme. */
  forgetColours(): void {
    this.palette = undefined;
    this.spriteKey = '';
  }

  private colours(): Palette {
    if (this.palette) return this.palette;
    const style = getComputedStyle(this.canvas);
    const get = (name: string) => style.getPropertyValue(name).trim();
    this.palette = {
      page: get('--panel'),
      text: get('--text'),
      soft: get('--soft'),
      line: get('--line'),
      accent: get('--accent'),
      hover: get('--hover'),
      cell: states.map((state) => get(`--cell-${state.key}`)),
      glyph: states.map((state) => get(`--ink-${state.key}`)),
    };
    return this.palette;
  }

  resize(width: number, height: number): void {
    this.scale = window.devicePixelRatio || 1;
    const w = Math.round(width * this.scale);
    const h = Math.round(height * this.scale);
    if (this.canvas.width !== w || this.canvas.height !== h) {
      this.canvas.width = w;
      this.canvas.height = h;
    }
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
  }

  private makeSprites(layout: Layout): void {
    const colours = this.colours();
    const width = layout.cellWidth - 2;
    const height = layout.cellHeight - 2;
    const key = `${width}x${height}@${this.scale}`;
    if (key === this.spriteKey) return;
    this.spriteKey = key;
    this.sprites = [];
    for (let state = 0; state < STATE_COUNT; state++) {
      const sprite = document.createElement('canvas');
      sprite.width = Math.round(width * this.scale);
      sprite.height = Math.round(height * this.scale);
      const c = sprite.getContext('2d')!;
      c.scale(this.scale, this.scale);
      c.beginPath();
      c.roundRect(0, 0, width, height, Math.min(4, height / 6));
      c.clip();
      c.fillStyle = colours.cell[state]!;
      c.fillRect(0, 0, width, height);
      if (state === State.Offline) this.hatch(c, width, height, colours.line);
      if (state === State.Unassigned) this.dash(c, width, height, colours.line);
      c.fillStyle = c.strokeStyle = colours.glyph[state]!;
      const size = layout.wide ? 13 : Math.min(width, height) * (height < 20 ? 0.62 : 0.5);
      drawGlyph(c, state, layout.wide ? 16 : width / 2, height / 2, size);
      this.sprites.push(sprite);
    }
  }

  /** A place that is empty on purpose. */
  private dash(c: CanvasRenderingContext2D, width: number, height: number, colour: string): void {
    c.strokeStyle = colour;
    c.lineWidth = 1;
    c.setLineDash([3, 3]);
    c.strokeRect(1.5, 1.5, width - 3, height - 3);
    c.setLineDash([]);
  }

  private hatch(c: CanvasRenderingContext2D, width: number, height: number, colour: string): void {
    c.strokeStyle = colour;
    c.lineWidth = 1;
    c.beginPath();
    for (let x = -height; x < width; x += 6) {
      c.moveTo(x, height);
      c.lineTo(x + height, 0);
    }
    c.stroke();
  }

  draw(mesh: Mesh, order: Order, layout: Layout, scrollX: number, scrollY: number, focus: Spot | undefined, hover: Spot | undefined, live: boolean): void {
    const c = this.context;
    const colours = this.colours();
    const width = this.canvas.width / this.scale;
    const height = this.canvas.height / this.scale;
    c.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    c.fillStyle = colours.page;
    c.fillRect(0, 0, width, height);
    this.makeSprites(layout);

    const { cellWidth, cellHeight, headWidth, headHeight } = layout;
    const firstColumn = Math.max(0, Math.floor(scrollX / cellWidth));
    const lastColumn = Math.min(order.columns.length, Math.ceil((scrollX + width - headWidth) / cellWidth));
    const firstRow = Math.max(0, Math.floor(scrollY / cellHeight));
    const lastRow = Math.min(order.rows.length, Math.ceil((scrollY + height - headHeight) / cellHeight));

    c.save();
    c.beginPath();
    c.rect(headWidth, headHeight, width - headWidth, height - headHeight);
    c.clip();
    const cross = hover ?? focus;
    if (cross) {
      c.fillStyle = colours.hover;
      c.fillRect(headWidth, headHeight + cross.row * cellHeight - scrollY, width, cellHeight);
      c.fillRect(headWidth + cross.column * cellWidth - scrollX, headHeight, cellWidth, height);
    }
    c.globalAlpha = live ? 1 : 0.45;
    this.drawn = 0;
    c.font = `12px ${FONT}`;
    c.textAlign = 'right';
    c.textBaseline = 'middle';
    const columnsAll = mesh.targets.length;
    for (let row = firstRow; row < lastRow; row++) {
      const y = headHeight + row * cellHeight - scrollY;
      const base = order.rows[row]! * columnsAll;
      for (let column = firstColumn; column < lastColumn; column++) {
        const x = headWidth + column * cellWidth - scrollX;
        const at = base + order.columns[column]!;
        const state = mesh.state[at]!;
        c.drawImage(this.sprites[state]!, x + 1, y + 1, cellWidth - 2, cellHeight - 2);
        if (layout.wide) this.cellText(mesh, at, state, x, y, layout);
        this.drawn++;
      }
    }
    c.globalAlpha = 1;
    if (hover) this.outline(hover, layout, scrollX, scrollY, colours.text, 1.5);
    if (focus) this.outline(focus, layout, scrollX, scrollY, colours.accent, 2.5);
    c.restore();

    this.drawHeads(mesh, order, layout, scrollX, scrollY, cross, [firstRow, lastRow, firstColumn, lastColumn]);
  }

  private cellText(mesh: Mesh, at: number, state: number, x: number, y: number, layout: Layout): void {
    const c = this.context;
    const rtt = mesh.rtt[at]!;
    let text = '';
    if (state === State.Fail) text = 'no reply';
    else if (state === State.Stale) text = 'stale';
    else if (state === State.LocalError) text = 'agent';
    else if (state === State.Offline) text = 'offline';
    else if (state === State.Paused) text = 'paused';
    else if (isMeasured(state) && rtt !== NO_RTT) text = rttShort(rtt);
    if (!text) return;
    c.fillStyle = this.colours().glyph[state]!;
    c.fillText(text, x + layout.cellWidth - 10, y + layout.cellHeight / 2 + 0.5);
  }

  private outline(spot: Spot, layout: Layout, scrollX: number, scrollY: number, colour: string, width: number): void {
    const c = this.context;
    c.strokeStyle = colour;
    c.lineWidth = width;
    c.beginPath();
    c.roundRect(
      layout.headWidth + spot.column * layout.cellWidth - scrollX + 1,
      layout.headHeight + spot.row * layout.cellHeight - scrollY + 1,
      layout.cellWidth - 2, layout.cellHeight - 2, 4,
    );
    c.stroke();
  }

  private clipped(text: string, room: number): string {
    const c = this.context;
    if (c.measureText(text).width <= room) return text;
    let n = Math.min(text.length, Math.ceil(room / 4));
    while (n > 1 && c.measureText(text.slice(0, n) + '…').width > room) n--;
    return text.slice(0, n) + '…';
  }

  private drawHeads(mesh: Mesh, order: Order, layout: Layout, scrollX: number, scrollY: number, cross: Spot | undefined, range: number[]): void {
    const c = this.context;
    const colours = this.colours();
    const width = this.canvas.width / this.scale;
    const height = this.canvas.height / this.scale;
    const { cellWidth, cellHeight, headWidth, headHeight } = layout;
    const [firstRow, lastRow, firstColumn, lastColumn] = range as [number, number, number, number];

    c.save();
    c.beginPath();
    c.rect(0, headHeight, headWidth, height - headHeight);
    c.clip();
    c.textAlign = 'left';
    c.textBaseline = 'middle';
    for (let row = firstRow; row < lastRow; row++) {
      const agent = mesh.rows[order.rows[row]!]!;
      const y = headHeight + row * cellHeight - scrollY + cellHeight / 2;
      const strong = cross?.row === row;
      if (strong) {
        c.fillStyle = colours.hover;
        c.fillRect(0, y - cellHeight / 2, headWidth, cellHeight);
      }
      // A ring where the agent is away, a disc where it is here: not colour alone.
      c.beginPath();
      c.arc(16, y, 4, 0, 2 * Math.PI);
      c.lineWidth = 1.5;
      c.strokeStyle = c.fillStyle = agent.online ? colours.glyph[State.Ok]! : colours.soft;
      if (agent.online) c.fill();
      else c.stroke();
      c.font = `${strong ? 600 : 500} ${cellHeight < 22 ? 11 : 13}px ${FONT}`;
      c.fillStyle = agent.online ? colours.text : colours.soft;
      const suffix = agent.state === 'hold' ? ' (hold)' : '';
      c.fillText(this.clipped(agentTitle(agent) + suffix, headWidth - 38), 28, y + 0.5);
    }
    c.restore();

    c.save();
    c.beginPath();
    c.rect(headWidth, 0, width - headWidth, headHeight);
    c.clip();
    const reach = layout.wide ? 0 : Math.ceil(layout.overhang / cellWidth);
    for (let column = Math.max(0, firstColumn - reach); column < lastColumn; column++) {
      const target = mesh.targets[order.columns[column]!]!;
      const x = headWidth + column * cellWidth - scrollX;
      const strong = cross?.column === column;
      if (layout.wide) {
        c.textAlign = 'center';
        const middle = x + cellWidth / 2;
        c.fillStyle = colours.text;
        c.font = `${strong ? 650 : 600} 13px ${FONT}`;
        const two = target.name !== '';
        c.fillText(this.clipped(targetTitle(target), cellWidth - 8), middle, two ? 18 : 26);
        if (two) {
          c.font = `11px ${FONT}`;
          c.fillStyle = colours.soft;
          c.fillText(this.clipped(target.address, cellWidth - 6), middle, 35);
        }
      } else {
        c.save();
        c.translate(x + cellWidth / 2, headHeight - 6);
        c.rotate(-SLANT);
        c.textAlign = 'left';
        c.textBaseline = 'middle';
        c.font = `${strong ? 650 : 450} ${cellWidth < 22 ? 11 : 12}px ${FONT}`;
        c.fillStyle = strong ? colours.text : colours.soft;
        c.fillText(this.clipped(targetTitle(target), (headHeight - 14) / Math.sin(SLANT)), 0, 0);
        c.restore();
      }
    }
    c.restore();

    c.fillStyle = colours.line;
    c.fillRect(0, headHeight - 1, width, 1);
    c.fillRect(headWidth - 1, layout.wide ? 0 : headHeight - 1, 1, height);
    c.font = `11px ${FONT}`;
    c.fillStyle = colours.soft;
    c.textAlign = 'left';
    c.textBaseline = 'alphabetic';
    if (layout.wide) c.fillText('round trip, ms', 12, headHeight - 12);
  }
}

// SPDX-License-Identifier: Apache-2.0
// The matrix as a thing to scroll, point at and walk with the arrow keys. Painter draws; this listens.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { effect } from '@preact/signals';
import { liveStatus, mesh, meshTick } from '../live.ts';
import { agentTitle, targetTitle } from '../model.ts';
import type { Order } from '../model.ts';
import { isMeasured, stateInfo } from '../states.ts';
import { rtt } from '../format.ts';
import { theme } from '../theme.ts';
import { fitLayout, spotAt } from './layout.ts';
import type { Layout, Spot } from './layout.ts';
import { Painter } from './painter.ts';

export interface Chosen {
  /** In the mesh, not in the order shown. */
  row: number;
  column: number;
  place: DOMRect;
  /** The matrix's lower end in the window. */
  below: number;
  pinned: boolean;
}

interface SurfaceProps {
  order: Order;
  shape: number;
  /** Another filter or order: back to the first row and column. */
  view: string;
  onChoose: (chosen: Chosen | undefined) => void;
}

const LEAVE_MS = 120;

class Surface {
  layout: Layout = fitLayout(800, 0, 8, 8);
  order: Order;
  private readonly painter: Painter;
  private focus: Spot | undefined;
  private hover: Spot | undefined;
  private frame = 0;
  private leave: ReturnType<typeof setTimeout> | undefined;
  onChoose: (chosen: Chosen | undefined) => void = () => undefined;
  onSay: (text: string) => void = () => undefined;

  constructor(private readonly scroller: HTMLElement, private readonly canvas: HTMLCanvasElement, private readonly sizer: HTMLElement, order: Order) {
    this.order = order;
    this.painter = new Painter(canvas);
  }

  fit(): void {
    const longest = (texts: string[]) => texts.reduce((most, text) => Math.max(most, text.length), 6);
    const width = this.scroller.clientWidth;
    this.layout = fitLayout(
      width, this.order.columns.length,
      longest(mesh.rows.map((agent) => agentTitle(agent) + (agent.state === 'hold' ? ' (hold)' : ''))),
      longest(mesh.targets.map(targetTitle)),
    );
    const { cellWidth, cellHeight, headWidth, headHeight, overhang } = this.layout;
    const wide = headWidth + this.order.columns.length * cellWidth + overhang;
    const high = headHeight + this.order.rows.length * cellHeight + 4;
    this.scroller.style.height = `${Math.max(140, Math.min(high + (wide > width ? this.scroller.offsetHeight - this.scroller.clientHeight : 0) + 2, Math.max(260, innerHeight * 0.68)))}px`;
    this.sizer.style.width = `${wide}px`;
    this.sizer.style.height = `${high}px`;
    this.painter.resize(this.scroller.clientWidth, this.scroller.clientHeight);
    if (this.focus && (this.focus.row >= this.order.rows.length || this.focus.column >= this.order.columns.length)) this.focus = undefined;
    this.paintSoon();
  }

  recolour(): void {
    this.painter.forgetColours();
    this.paintSoon();
  }

  paintSoon(): void {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      const { scrollLeft, scrollTop } = this.scroller;
      this.painter.draw(mesh, this.order, this.layout, scrollLeft, scrollTop, this.focus, this.hover, liveStatus.value === 'live');
    });
  }

  private placeOf(spot: Spot): DOMRect {
    const box = this.canvas.getBoundingClientRect();
    const { cellWidth, cellHeight, headWidth, headHeight } = this.layout;
    return new DOMRect(
      box.left + headWidth + spot.column * cellWidth - this.scroller.scrollLeft,
      box.top + headHeight + spot.row * cellHeight - this.scroller.scrollTop,
      cellWidth, cellHeight,
    );
  }

  private choose(spot: Spot | undefined, pinned: boolean): void {
    this.onChoose(spot && { row: this.order.rows[spot.row]!, column: this.order.columns[spot.column]!, place: this.placeOf(spot), below: this.scroller.getBoundingClientRect().bottom, pinned });
  }

  private spot(event: MouseEvent): Spot | undefined {
    const box = this.canvas.getBoundingClientRect();
    return spotAt(this.layout, this.order, event.clientX - box.left, event.clientY - box.top, this.scroller.scrollLeft, this.scroller.scrollTop);
  }

  pointerMove = (event: PointerEvent): void => {
    if (event.pointerType === 'touch') return;
    const spot = this.spot(event);
    if (spot?.row === this.hover?.row && spot?.column === this.hover?.column) return;
    this.hover = spot;
    clearTimeout(this.leave);
    if (spot) this.choose(spot, false);
    else this.leave = setTimeout(() => this.onChoose(undefined), LEAVE_MS);
    this.paintSoon();
  };

  pointerLeave = (): void => {
    if (!this.hover) return;
    this.hover = undefined;
    this.leave = setTimeout(() => this.onChoose(undefined), LEAVE_MS);
    this.paintSoon();
  };

  click = (event: MouseEvent): void => {
    const spot = this.spot(event);
    if (!spot) return;
    clearTimeout(this.leave);
    this.focus = spot;
    this.choose(spot, true);
    this.paintSoon();
  };

  scroll = (): void => {
    this.hover = undefined;
    this.paintSoon();
  };

  key = (event: KeyboardEvent): void => {
    const { rows, columns } = this.order;
    if (!rows.length || !columns.length || event.ctrlKey || event.altKey || event.metaKey) return;
    const page = Math.max(1, Math.floor((this.scroller.clientHeight - this.layout.headHeight) / this.layout.cellHeight) - 1);
    const at = this.focus ?? { row: 0, column: 0 };
    const moves: Record<string, Spot> = {
      ArrowRight: { row: at.row, column: at.column + 1 },
      ArrowLeft: { row: at.row, column: at.column - 1 },
      ArrowDown: { row: at.row + 1, column: at.column },
      ArrowUp: { row: at.row - 1, column: at.column },
      PageDown: { row: at.row + page, column: at.column },
      PageUp: { row: at.row - page, column: at.column },
      Home: { row: at.row, column: 0 },
      End: { row: at.row, column: columns.length - 1 },
    };
    if (event.key === 'Escape') {
      this.onChoose(undefined);
      return;
    }
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      this.focus = at;
      this.choose(at, true);
      return this.paintSoon();
    }
    const to = moves[event.key];
    if (!to) return;
    event.preventDefault();
    this.walk(this.focus ? to : at);
  };

  private walk(to: Spot): void {
    const spot = {
      row: Math.min(Math.max(to.row, 0), this.order.rows.length - 1),
      column: Math.min(Math.max(to.column, 0), this.order.columns.length - 1),
    };
    this.focus = spot;
    const { cellWidth, cellHeight, headWidth, headHeight } = this.layout;
    const s = this.scroller;
    const left = spot.column * cellWidth;
    const top = spot.row * cellHeight;
    if (left < s.scrollLeft) s.scrollLeft = left;
    if (left + cellWidth > s.scrollLeft + s.clientWidth - headWidth) s.scrollLeft = left + cellWidth - s.clientWidth + headWidth;
    if (top < s.scrollTop) s.scrollTop = top;
    if (top + cellHeight > s.scrollTop + s.clientHeight - headHeight) s.scrollTop = top + cellHeight - s.clientHeight + headHeight;
    this.choose(spot, false);
    this.say(spot);
    this.paintSoon();
  }

  private say(spot: Spot): void {
    const cell = mesh.cell(this.order.rows[spot.row]!, this.order.columns[spot.column]!);
    if (!cell) return;
    const value = !isMeasured(cell.state) ? '' : `, last round trip ${rtt(cell.rttUs)}, ${cell.lost} of the last 12 lost`;
    this.onSay(`${agentTitle(cell.agent)} to ${targetTitle(cell.target)}: ${stateInfo(cell.state).label}${value}`);
  }

  blur = (): void => {
    this.onSay('');
    this.paintSoon();
  };

  dispose(): void {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.leave);
  }
}

export function MatrixSurface({ order, shape, view, onChoose }: SurfaceProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const sizer = useRef<HTMLDivElement>(null);
  const surface = useRef<Surface | undefined>(undefined);
  const [said, setSaid] = useState('');

  useLayoutEffect(() => {
    const mine = new Surface(scroller.current!, canvas.current!, sizer.current!, order);
    surface.current = mine;
    mine.onSay = setSaid;
    const watch = new ResizeObserver(() => mine.fit());
    watch.observe(scroller.current!.parentElement!);
    const resized = () => mine.fit();
    addEventListener('resize', resized);
    const stop = [
      effect(() => {
        meshTick.value;
        liveStatus.value;
        mine.paintSoon();
      }),
      effect(() => {
        theme.value;
        mine.recolour();
      }),
    ];
    return () => {
      removeEventListener('resize', resized);
      watch.disconnect();
      stop.forEach((f) => f());
      mine.dispose();
    };
  }, []);
  useLayoutEffect(() => {
    surface.current!.order = order;
    surface.current!.onChoose = onChoose;
    surface.current!.fit();
  }, [order, shape, onChoose]);
  useEffect(() => scroller.current!.scrollTo(0, 0), [view]);
  useEffect(() => () => onChoose(undefined), []);

  const act = <E extends Event>(name: 'pointerMove' | 'pointerLeave' | 'click' | 'scroll' | 'key' | 'blur') => (event: E) =>
    (surface.current![name] as (event: E) => void)(event);
  return (
    <div class="surface">
      <div
        ref={scroller} class="scroller" tabIndex={0} role="application" aria-roledescription="matrix"
        aria-label="Matrix, agents down, targets across. Arrow keys move from cell to cell, Enter opens one. The table below has the same cells."
        data-testid="matrix"
        onPointerMove={act('pointerMove')} onPointerLeave={act('pointerLeave')} onClick={act('click')}
        onScroll={act('scroll')} onKeyDown={act('key')} onBlur={act('blur')}
      >
        <div ref={sizer} class="sizer"><canvas ref={canvas} aria-hidden="true" /></div>
      </div>
      <p class="hidden" aria-live="polite">{said}</p>
    </div>
  );
}

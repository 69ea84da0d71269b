// SPDX-License-Identifier: Apache-2.0
// A cell's states: numbers as the server sends them, words, and a shape each, so that colour is never the only sign.

export const enum State {
  NoData = 0,
  Ok = 1,
  Slow = 2,
  Lossy = 3,
  Fail = 4,
  Stale = 5,
  LocalError = 6,
  Offline = 7,
  Paused = 8,
  Unassigned = 9,
}

export const STATE_COUNT = 10;

export interface StateInfo {
  key: string;
  label: string;
  /** One sentence for the panel and for screen readers. */
  words: string;
}

export const states: readonly StateInfo[] = [
  { key: 'no_data', label: 'No data', words: 'no sample yet' },
  { key: 'ok', label: 'OK', words: 'answers in time' },
  { key: 'slow', label: 'Slow', words: 'answers, but slower than the threshold' },
  { key: 'lossy', label: 'Lossy', words: 'answers now, but lost some of the last 12' },
  { key: 'fail', label: 'Fail', words: 'the last ping got no reply' },
  { key: 'stale', label: 'Stale', words: 'no new sample for some intervals' },
  { key: 'local_error', label: 'Agent trouble', words: 'the agent could not measure; this says nothing about the target' },
  { key: 'agent_offline', label: 'Agent offline', words: 'no word from the agent; the target may be fine' },
  { key: 'paused', label: 'Paused', words: 'nobody pings this target now: it is paused' },
  { key: 'unassigned', label: 'Not to be pinged', words: 'no rule lets this agent ping this target' },
];

/** Whether there may be a measurement to show. */
export const isMeasured = (state: number): boolean => state !== State.NoData && state !== State.Paused && state !== State.Unassigned;

/** Whether its agent is to ping it now. */
export const isPinged = (state: number): boolean => state !== State.Paused && state !== State.Unassigned;

export const stateInfo = (state: number): StateInfo =>
  states[state] ?? { key: `state_${state}`, label: `State ${state}`, words: 'a state this page does not know' };

/** Worst first: the order of the legend, of the list, and of "problems first". */
export const bySeverity: readonly State[] = [
  State.Fail, State.Lossy, State.Slow, State.LocalError, State.Stale, State.Offline, State.Paused, State.NoData, State.Ok, State.Unassigned,
];

/** How much a cell pulls its row and column up when problems come first. */
export const weight: readonly number[] = [0, 0, 20, 100, 1000, 8, 12, 4, 0, 0];

/** Draws a state's glyph into a box of `size` around (x, y), in the current fill and stroke style. */
export function drawGlyph(c: CanvasRenderingContext2D, state: number, x: number, y: number, size: number): void {
  const r = size / 2;
  c.lineWidth = Math.max(1.4, size / 7);
  c.lineCap = 'round';
  c.lineJoin = 'round';
  c.beginPath();
  switch (state) {
    case State.NoData:
      c.arc(x, y, Math.max(0.8, size / 12), 0, 2 * Math.PI);
      c.fill();
      return;
    case State.Ok:
      c.arc(x, y, r * 0.56, 0, 2 * Math.PI);
      c.fill();
      return;
    case State.Slow:
      c.moveTo(x, y - r * 0.8);
      c.lineTo(x + r * 0.88, y + r * 0.7);
      c.lineTo(x - r * 0.88, y + r * 0.7);
      c.closePath();
      c.fill();
      return;
    case State.Lossy:
      c.arc(x, y, r * 0.76, 0, 2 * Math.PI);
      c.stroke();
      c.beginPath();
      c.arc(x, y, r * 0.76, Math.PI / 2, Math.PI * 1.5);
      c.closePath();
      c.fill();
      return;
    case State.Fail:
      c.lineWidth *= 1.25;
      c.moveTo(x - r * 0.6, y - r * 0.6);
      c.lineTo(x + r * 0.6, y + r * 0.6);
      c.moveTo(x + r * 0.6, y - r * 0.6);
      c.lineTo(x - r * 0.6, y + r * 0.6);
      c.stroke();
      return;
    case State.Stale:
      c.arc(x, y, r * 0.78, 0, 2 * Math.PI);
      c.moveTo(x, y - r * 0.42);
      c.lineTo(x, y);
      c.lineTo(x + r * 0.34, y + r * 0.16);
      c.stroke();
      return;
    case State.LocalError:
      c.moveTo(x, y - r);
      c.lineTo(x + r, y);
      c.lineTo(x, y + r);
      c.lineTo(x - r, y);
      c.closePath();
      c.stroke();
      c.beginPath();
      c.moveTo(x, y - r * 0.42);
      c.lineTo(x, y + r * 0.08);
      c.stroke();
      c.beginPath();
      c.arc(x, y + r * 0.42, Math.max(0.7, c.lineWidth / 1.9), 0, 2 * Math.PI);
      c.fill();
      return;
    case State.Offline:
      c.moveTo(x - r * 0.62, y);
      c.lineTo(x + r * 0.62, y);
      c.stroke();
      return;
    case State.Paused:
      c.moveTo(x - r * 0.36, y - r * 0.6);
      c.lineTo(x - r * 0.36, y + r * 0.6);
      c.moveTo(x + r * 0.36, y - r * 0.6);
      c.lineTo(x + r * 0.36, y + r * 0.6);
      c.stroke();
      return;
    case State.Unassigned: // an empty place: nothing is missing here
      return;
    default:
      c.fillText('?', x, y);
  }
}
